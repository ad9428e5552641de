// The tensors of a model, whatever holds them: a folder in HF's layout (one model.safetensors, or
// shards that model.safetensors.index.json lists: {"weight_map": {TENSOR: SHARD, ...}}), or a GGUF
// file, in parts or whole.
//
// Thread safety: all const members may be called from any thread.
#ifndef KAKEYA_FORMAT_CHECKPOINT_H_
#define KAKEYA_FORMAT_CHECKPOINT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/status.h"
#include "base/tensor_view.h"
#include "format/gguf.h"
#include "format/model_path.h"
#include "format/safetensors.h"

namespace kakeya {

class Checkpoint {
 public:
  struct Tensor {
    std::string name;
    std::string type;            // as the file spells it: "BF16", "F8_E4M3", "Q4_K"
    std::optional<DType> dtype;  // nothing for types that this engine doesn't compute with
    std::vector<int64_t> shape;  // outermost first
    const MappedFile* file = nullptr;
    uint64_t begin = 0;  // first byte, counted from the start of the file
    uint64_t end = 0;    // one past the last

    const std::byte* data() const { return file->data() + begin; }
    uint64_t bytes() const { return end - begin; }
    // It has been read and won't be again: its pages may leave memory.
    void GiveBack() const { file->DontNeed(begin, end - begin); }
  };

  // Maps all files and checks their headers. A shard is a file of this very folder: a name with a
  // slash, or "..", is refused. Errors, naming the file: NotFound (no file, a shard is missing),
  // Corrupt (a tensor isn't in its shard), and those of SafetensorsFile::Open and
  // GgufFile::Open.
  static Result<Checkpoint> Open(const std::string& model);

  bool is_gguf() const { return gguf_ != nullptr; }
  size_t file_count() const { return is_gguf() ? gguf_->parts().size() : files_.size(); }
  // Of the first file, for messages about what is in none.
  const std::string& path() const;
  // File by file, in the order of their data.
  const std::vector<Tensor>& tensors() const { return tensors_; }
  // What shards hold and their index doesn't name; none of tensors().
  const std::vector<Tensor>& unlisted() const { return unlisted_; }
  // Of all tensors.
  uint64_t bytes() const { return bytes_; }
  // nullptr when there is no such tensor.
  const Tensor* Find(const std::string& name) const;
  // The mapped tensor, valid as long as this object; not necessarily aligned. Errors: Unsupported,
  // naming file, tensor and type, for an element type that this engine doesn't compute with.
  Result<TensorView> View(const Tensor& tensor) const;
  // The first error of the files' CheckIntact.
  Status CheckIntact() const;

 private:
  Checkpoint() = default;
  static Result<Checkpoint> OpenGguf(const std::string& path);
  static Result<Checkpoint> OpenShards(const std::string& dir, const std::string& index_path);
  void Add(const SafetensorsFile& file, const SafetensorsEntry& entry);
  void Add(Tensor tensor);
  void Index();

  std::vector<SafetensorsFile> files_;    // of a folder
  std::unique_ptr<const GgufFile> gguf_;  // null: a folder
  std::vector<Tensor> tensors_;
  std::vector<Tensor> unlisted_;
  std::unordered_map<std::string_view, size_t> by_name_;  // into tensors_
  uint64_t bytes_ = 0;
};

}  // namespace kakeya

#endif  // KAKEYA_FORMAT_CHECKPOINT_H_
