#include "format/fingerprint.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace kakeya {
namespace {

using Location = Checkpoint::Location;

struct StateDeleter {
  void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
};

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
  std::string Hex() const {
    const XXH128_hash_t hash = XXH3_128bits_digest(state_.get());
    return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
  }

 private:
  std::unique_ptr<XXH3_state_t, StateDeleter> state_;
};

void AddTensor(const Location& location, Hasher* hasher) {
  const SafetensorsEntry& entry = *location.entry;
  const MappedFile& file = location.file->file();
  hasher->Add(entry.name);
  hasher->Add(entry.type);
  for (const int64_t dimension : entry.shape) hasher->Add(static_cast<uint64_t>(dimension));
  hasher->Add(file.data() + entry.begin, entry.end - entry.begin);
  location.file->GiveBack(entry);
}

}  // namespace

Result<std::string> Fingerprint(const Checkpoint& checkpoint) {
  Hasher hasher;
  if (!hasher.ok()) return ResourceExhausted("not enough memory to fingerprint a model");
  std::vector<Location> tensors;
  checkpoint.ForEach([&](const Location& location) { tensors.push_back(location); });
  std::sort(tensors.begin(), tensors.end(), [](const Location& a, const Location& b) {
    return std::string_view(a.entry->name) < std::string_view(b.entry->name);
  });
  for (const Location& location : tensors) AddTensor(location, &hasher);
  KAKEYA_RETURN_IF_ERROR(checkpoint.CheckIntact());
  return hasher.Hex();
}

}  // namespace kakeya
