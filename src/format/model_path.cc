#include "format/model_path.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <string_view>
#include <system_error>
#include <vector>

#include "format/gguf_split.h"
#include "format/quote.h"

namespace kakeya {
namespace {

namespace fs = std::filesystem;

// Whether a file of this name belongs to a model folder.
bool IsPartOfFolder(std::string_view name) {
  constexpr std::string_view kNames[] = {"config.json", "generation_config.json", "tokenizer.json",
                                         "tokenizer_config.json", "model.safetensors.index.json"};
  return name.ends_with(".safetensors") ||
         std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

// The models among a folder's GGUF files, in order of their names: of one in parts the first part
// that is there.
std::vector<std::string> GgufModels(const std::string& dir) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(dir, error), end; !error && it != end; it.increment(error)) {
    std::string name = it->path().filename().string();
    // llama.cpp keeps the towers that turn images into embeddings in files of their own.
    if (name.ends_with(".gguf") && !name.starts_with("mmproj")) names.push_back(std::move(name));
  }
  std::sort(names.begin(), names.end());
  std::vector<std::string> models;
  std::vector<std::string> whole;  // of which parts have been seen
  for (const std::string& name : names) {
    if (const auto split = ParseGgufSplitName(name)) {
      const std::string first = split->Path(1);
      if (std::find(whole.begin(), whole.end(), first) != whole.end()) continue;
      whole.push_back(first);
    }
    models.push_back(name);
  }
  return models;
}

}  // namespace

bool IsGgufPath(const std::string& model) {
  struct stat info;
  return ::stat(model.c_str(), &info) == 0 && !S_ISDIR(info.st_mode);
}

Result<std::string> ResolveModelPath(const std::string& model) {
  std::error_code ignored;
  if (IsGgufPath(model)) {
    const fs::path path(model);
    if (!IsPartOfFolder(path.filename().string())) return model;
    return path.has_parent_path() ? path.parent_path().string() : std::string(".");
  }
  if (!fs::is_directory(model, ignored)) {
    return NotFound("{}: is not a model folder, nor a GGUF file", model.empty() ? "''" : model);
  }
  if (fs::exists(fs::path(model) / "config.json", ignored)) return model;
  const std::vector<std::string> found = GgufModels(model);
  if (found.empty()) return model;
  if (found.size() > 1) {
    return InvalidArgument(
        "{}: holds no config.json, but {} models in GGUF files: name one of them ({}, {}{})", model,
        found.size(), Printable(found[0]), Printable(found[1]), found.size() > 2 ? ", ..." : "");
  }
  return (fs::path(model) / found[0]).string();
}

}  // namespace kakeya
