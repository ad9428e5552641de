#include "format/checkpoint.h"

#include <sys/stat.h>

#include <unordered_set>
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

// The types of GGUF tensors that the kernels compute with.
constexpr std::pair<std::string_view, DType> kComputed[] = {
    {"F32", DType::kF32},   {"F16", DType::kF16},   {"BF16", DType::kBF16},
    {"Q8_0", DType::kQ8_0}, {"Q4_0", DType::kQ4_0}, {"Q4_1", DType::kQ4_1},
    {"Q5_0", DType::kQ5_0}, {"Q5_1", DType::kQ5_1}, {"IQ4_NL", DType::kIQ4_NL},
    {"Q4_K", DType::kQ4_K}, {"Q5_K", DType::kQ5_K}, {"Q6_K", DType::kQ6_K}};
constexpr char kGgufTypes[] =
    "F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, IQ4_NL, Q4_K, Q5_K and Q6_K";

std::optional<DType> DTypeOf(const GgufTensorType& type) {
  for (const auto& [name, dtype] : kComputed) {
    if (type.name == name) return dtype;
  }
  return std::nullopt;
}

Checkpoint::Tensor MakeTensor(const SafetensorsFile& file, const SafetensorsEntry& entry) {
  return {entry.name, entry.type, entry.dtype, entry.shape, &file.file(), entry.begin, entry.end};
}

}  // namespace

const std::string& Checkpoint::path() const {
  return is_gguf() ? gguf_->file().path() : files_[0].file().path();
}

const Checkpoint::Tensor* Checkpoint::Find(const std::string& name) const {
  const auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : &tensors_[it->second];
}

Result<TensorView> Checkpoint::View(const Tensor& tensor) const {
  if (!tensor.dtype) {
    return Unsupported("{}: tensor {} has type {}; this engine reads {}", tensor.file->path(),
                       Quoted(tensor.name), tensor.type,
                       is_gguf() ? kGgufTypes : "F32, F16 and BF16");
  }
  return TensorView{*tensor.dtype, tensor.shape, tensor.data()};
}

void Checkpoint::Add(Tensor tensor) {
  bytes_ += tensor.bytes();
  tensors_.push_back(std::move(tensor));
}

void Checkpoint::Add(const SafetensorsFile& file, const SafetensorsEntry& entry) {
  Add(MakeTensor(file, entry));
}

// tensors_ has its final place: only now may its names be pointed at.
void Checkpoint::Index() {
  for (size_t i = 0; i < tensors_.size(); ++i) by_name_.emplace(tensors_[i].name, i);
}

Result<Checkpoint> Checkpoint::Open(const std::string& model) {
  if (IsGgufPath(model)) return OpenGguf(model);
  const std::string single = model + "/" + kSingleFile;
  const std::string index = model + "/" + kIndexFile;
  if (!Exists(single)) {
    if (Exists(index)) return OpenShards(model, index);
    return NotFound("{}: holds neither {} nor {}", model, kSingleFile, kIndexFile);
  }
  Checkpoint checkpoint;
  KAKEYA_ASSIGN_OR_RETURN(SafetensorsFile file, SafetensorsFile::Open(single));
  checkpoint.files_.push_back(std::move(file));
  for (const SafetensorsEntry& entry : checkpoint.files_[0].entries()) {
    checkpoint.Add(checkpoint.files_[0], entry);
  }
  checkpoint.Index();
  return checkpoint;
}

Result<Checkpoint> Checkpoint::OpenGguf(const std::string& path) {
  KAKEYA_ASSIGN_OR_RETURN(GgufFile file, GgufFile::Open(path));
  Checkpoint checkpoint;
  checkpoint.gguf_ = std::make_unique<const GgufFile>(std::move(file));
  for (const GgufTensor& tensor : checkpoint.gguf_->header().tensors) {
    checkpoint.Add({tensor.name, std::string(tensor.type->name), DTypeOf(*tensor.type),
                    tensor.shape, &checkpoint.gguf_->FileOf(tensor), tensor.begin, tensor.end});
  }
  checkpoint.Index();
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
  // files_ has its final place: only now may entries be pointed at. The index's order is that of
  // names; ours is that of the data.
  std::vector<std::unordered_set<const SafetensorsEntry*>> listed(checkpoint.files_.size());
  size_t i = 0;
  for (const auto& [name, shard] : (*map)->items()) {
    const SafetensorsEntry* entry = checkpoint.files_[file_of[i]].Find(name);
    if (entry == nullptr) {
      return Corrupt("{}: tensor {} is not in {}", index_path, Quoted(name),
                     Printable(shard.get_ref<const std::string&>()));
    }
    listed[file_of[i++]].insert(entry);
  }
  for (size_t f = 0; f < listed.size(); ++f) {
    for (const SafetensorsEntry& entry : checkpoint.files_[f].entries()) {
      if (listed[f].contains(&entry)) checkpoint.Add(checkpoint.files_[f], entry);
    }
  }
  checkpoint.Index();
  for (const SafetensorsFile& file : checkpoint.files_) {
    for (const SafetensorsEntry& entry : file.entries()) {
      if (checkpoint.Find(entry.name) == nullptr) {
        checkpoint.unlisted_.push_back(MakeTensor(file, entry));
      }
    }
  }
  return checkpoint;
}

Status Checkpoint::CheckIntact() const {
  if (is_gguf()) return gguf_->CheckIntact();
  for (const SafetensorsFile& file : files_) KAKEYA_RETURN_IF_ERROR(file.file().CheckIntact());
  return OkStatus();
}

}  // namespace kakeya
