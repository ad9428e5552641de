// The tensors of a model folder in HF's layout: one model.safetensors, or shards that
// model.safetensors.index.json lists ({"weight_map": {TENSOR: SHARD, ...}}).
//
// Thread safety: all const members may be called from any thread.
#ifndef KAKEYA_FORMAT_CHECKPOINT_H_
#define KAKEYA_FORMAT_CHECKPOINT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/status.h"
#include "format/safetensors.h"

namespace kakeya {

class Checkpoint {
 public:
  // Where a tensor lies.
  struct Location {
    const SafetensorsFile* file = nullptr;
    const SafetensorsEntry* entry = nullptr;
  };

  // Maps all files and checks their headers. A shard is a file of this very folder: a name with a
  // slash, or "..", is refused. Errors, naming the file: NotFound (neither file exists, a shard is
  // missing), Corrupt (a tensor isn't in its shard), and those of SafetensorsFile::Open.
  static Result<Checkpoint> Open(const std::string& dir);

  const std::vector<SafetensorsFile>& files() const { return files_; }
  // Of all tensors: their number and bytes.
  size_t size() const { return tensors_.size(); }
  uint64_t bytes() const { return bytes_; }
  // {} when there is no such tensor.
  Location Find(const std::string& name) const;
  // Calls visit(location) for every tensor, file by file in the order of their data.
  template <typename Visit>
  void ForEach(const Visit& visit) const {
    for (const SafetensorsFile& file : files_) {
      for (const SafetensorsEntry& entry : file.entries()) {
        if (Find(entry.name).entry == &entry) visit(Location{&file, &entry});
      }
    }
  }
  // The first error of the files' CheckIntact.
  Status CheckIntact() const;

 private:
  Checkpoint() = default;
  static Result<Checkpoint> OpenShards(const std::string& dir, const std::string& index_path);
  void Add(const SafetensorsFile& file, const SafetensorsEntry& entry);

  std::vector<SafetensorsFile> files_;
  std::unordered_map<std::string_view, Location> tensors_;  // keys are the entries' names
  uint64_t bytes_ = 0;
};

}  // namespace kakeya

#endif  // KAKEYA_FORMAT_CHECKPOINT_H_
