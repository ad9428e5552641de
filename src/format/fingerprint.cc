#include "format/fingerprint.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

namespace kakeya {
namespace {

struct StateDeleter {
  void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
};

std::string Hex(const XXH128_hash_t& hash) {
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

class Hasher {
 public:
  Hasher() : state_(XXH3_createState()) {
    if (state_ != nullptr) XXH3_128bits_reset(state_.get());
  }
  bool ok() const { return state_ != nullptr; }
  void Add(const void* data, size_t bytes) { XXH3_128bits_update(state_.get(), data, bytes); }
  // The text and the '\0' behind it.
  void Add(const std::string& text) { Add(text.c_str(), text.size() + 1); }
  void Add(uint64_t value) {
    std::array<unsigned char, 8> bytes;
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(value >> (8 * i));
    Add(bytes.data(), bytes.size());
  }
  std::string Hex() const { return kakeya::Hex(XXH3_128bits_digest(state_.get())); }

 private:
  std::unique_ptr<XXH3_state_t, StateDeleter> state_;
};

void AddTensor(const Checkpoint::Tensor& tensor, Hasher* hasher) {
  hasher->Add(tensor.name);
  hasher->Add(tensor.type);
  for (const int64_t dimension : tensor.shape) hasher->Add(static_cast<uint64_t>(dimension));
  hasher->Add(tensor.data(), tensor.bytes());
  tensor.GiveBack();
}

}  // namespace

Result<std::string> Fingerprint(const Checkpoint& checkpoint) {
  Hasher hasher;
  if (!hasher.ok()) return ResourceExhausted("not enough memory to fingerprint a model");
  std::vector<const Checkpoint::Tensor*> tensors;
  for (const Checkpoint::Tensor& tensor : checkpoint.tensors()) tensors.push_back(&tensor);
  std::sort(tensors.begin(), tensors.end(),
            [](const auto* a, const auto* b) { return a->name < b->name; });
  for (const Checkpoint::Tensor* tensor : tensors) AddTensor(*tensor, &hasher);
  KAKEYA_RETURN_IF_ERROR(checkpoint.CheckIntact());
  return hasher.Hex();
}

std::string FingerprintOfText(std::string_view text) {
  return Hex(XXH3_128bits(text.data(), text.size()));
}

}  // namespace kakeya
