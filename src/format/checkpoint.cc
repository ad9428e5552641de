#include "format/checkpoint.h"

#include <sys/stat.h>

#include <utility>

#include "format/json.h"
#include "format/quote.h"

namespace kakeya {
namespace {

constexpr char kSingleFile[] = "model.safetensors";
constexpr char kIndexFile[] = "model.safetensors.index.json";

bool Exists(const std::string& path) {
  struct stat info;
  return ::stat(path.c_str(), &info) == 0;
}

// A plain name of a file in the folder: what comes from an index must not lead out of it.
bool IsConfined(const std::string& shard) {
  return !shard.empty() && shard != "." && shard != ".." &&
         shard.find_first_of(std::string_view("/\\\0", 3)) == shard.npos;
}

}  // namespace

Checkpoint::Location Checkpoint::Find(const std::string& name) const {
  const auto it = tensors_.find(name);
  return it == tensors_.end() ? Location{} : it->second;
}

void Checkpoint::Add(const SafetensorsFile& file, const SafetensorsEntry& entry) {
  tensors_.emplace(entry.name, Location{&file, &entry});
  bytes_ += entry.end - entry.begin;
}

Result<Checkpoint> Checkpoint::Open(const std::string& dir) {
  const std::string single = dir + "/" + kSingleFile;
  const std::string index = dir + "/" + kIndexFile;
  if (!Exists(single)) {
    if (Exists(index)) return OpenShards(dir, index);
    return NotFound("{}: holds neither {} nor {}", dir, kSingleFile, kIndexFile);
  }
  Checkpoint checkpoint;
  KAKEYA_ASSIGN_OR_RETURN(SafetensorsFile file, SafetensorsFile::Open(single));
  checkpoint.files_.push_back(std::move(file));
  for (const SafetensorsEntry& entry : checkpoint.files_[0].entries()) {
    checkpoint.Add(checkpoint.files_[0], entry);
  }
  return checkpoint;
}

Result<Checkpoint> Checkpoint::OpenShards(const std::string& dir, const std::string& index_path) {
  KAKEYA_ASSIGN_OR_RETURN(const Json index, ReadJsonFile(index_path));
  Result<const Json*> map = FindObject(index, "weight_map");
  if (!map.ok()) return map.status().WithContext(index_path);
  if (*map == nullptr || (*map)->empty()) {
    return Corrupt("{}: key 'weight_map' is missing or empty", index_path);
  }

  Checkpoint checkpoint;
  std::unordered_map<std::string, size_t> opened;  // shard -> index in files_
  std::vector<size_t> file_of;                     // of the i-th tensor
  for (const auto& [name, shard] : (*map)->items()) {
    if (!shard.is_string()) {
      return Corrupt("{}: weight_map of {} must be a file name", index_path, Quoted(name));
    }
    const std::string& shard_name = shard.get_ref<const std::string&>();
    if (!IsConfined(shard_name)) {
      return Corrupt("{}: weight_map of {} names {}, which is not a file of this folder",
                     index_path, Quoted(name), Quoted(shard_name));
    }
    const auto [it, is_new] = opened.emplace(shard_name, checkpoint.files_.size());
    if (is_new) {
      Result<SafetensorsFile> file = SafetensorsFile::Open(fmt::format("{}/{}", dir, shard_name));
      if (!file.ok()) return file.status().WithContext(index_path);
      checkpoint.files_.push_back(*std::move(file));
    }
    file_of.push_back(it->second);
  }
  // files_ has its final place: only now may entries be pointed at.
  size_t i = 0;
  for (const auto& [name, shard] : (*map)->items()) {
    const SafetensorsFile& file = checkpoint.files_[file_of[i++]];
    const SafetensorsEntry* entry = file.Find(name);
    if (entry == nullptr) {
      return Corrupt("{}: tensor {} is not in {}", index_path, Quoted(name),
                     Printable(shard.get_ref<const std::string&>()));
    }
    checkpoint.Add(file, *entry);
  }
  return checkpoint;
}

Status Checkpoint::CheckIntact() const {
  for (const SafetensorsFile& file : files_) KAKEYA_RETURN_IF_ERROR(file.file().CheckIntact());
  return OkStatus();
}

}  // namespace kakeya
