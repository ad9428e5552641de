#include "session/session_file.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>

#include "cache/kv_snapshot.h"
#include "cache/saved_state.h"
#include "format/mapped_file.h"
#include "format/quote.h"
#include "format/write_file.h"

// file     := magic:"KAKEYASE" version:u64 length:u64 body checksum:u64
// length   := bytes of the file
// checksum := XXH3-64 with seed 0 of all bytes before it
// body     := traits tokens hidden cache restored
// traits   := count:u64 (size:u64 byte ...) ...
// tokens   := count:u64 id:i32 ...
// hidden   := count:u64 f32 ...          hidden_size of them, or none
// cache    := cache/kv_snapshot.cc
// restored := told:u64 state             only with a restorer; its ids are the first tokens, its
//                                        state is what Restorer::SaveState writes

namespace kakeya {
namespace {

constexpr std::array<char, 8> kMagic = {'K', 'A', 'K', 'E', 'Y', 'A', 'S', 'E'};
constexpr uint64_t kVersion = 1;
constexpr size_t kHeadBytes = sizeof(kMagic) + 2 * sizeof(uint64_t);
constexpr size_t kChecksumBytes = sizeof(uint64_t);

struct HashDeleter {
  void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
};

// Only counts.
class Counter : public StateSink {
 public:
  Status Write(std::span<const std::byte> bytes) override {
    bytes_ += bytes.size();
    return OkStatus();
  }
  uint64_t bytes() const { return bytes_; }

 private:
  uint64_t bytes_ = 0;
};

// Writes to a file and hashes what it writes.
class HashedFile : public StateSink {
 public:
  explicit HashedFile(AtomicFile* file) : file_(file), hash_(XXH3_createState()) {
    if (hash_ != nullptr) XXH3_64bits_reset(hash_.get());
  }
  Status Write(std::span<const std::byte> bytes) override {
    if (hash_ == nullptr) return ResourceExhausted("not enough memory to hash a file");
    XXH3_64bits_update(hash_.get(), bytes.data(), bytes.size());
    return file_->Write(bytes);
  }
  // REQUIRES: something was written.
  uint64_t Hash() const { return XXH3_64bits_digest(hash_.get()); }

 private:
  AtomicFile* file_;
  std::unique_ptr<XXH3_state_t, HashDeleter> hash_;
};

Status WriteBody(const SessionTraits& traits, std::span<const int32_t> tokens,
                 const Timeline& timeline, StateSink* sink) {
  KAKEYA_RETURN_IF_ERROR(sink->WriteNumber(uint64_t{traits.size()}));
  for (const auto& [name, value] : traits) {
    KAKEYA_RETURN_IF_ERROR(sink->WriteNumber(uint64_t{value.size()}));
    KAKEYA_RETURN_IF_ERROR(sink->Write(std::as_bytes(std::span(value))));
  }
  KAKEYA_RETURN_IF_ERROR(sink->WriteNumber(uint64_t{tokens.size()}));
  KAKEYA_RETURN_IF_ERROR(sink->Write(std::as_bytes(tokens)));
  KAKEYA_RETURN_IF_ERROR(sink->WriteNumber(uint64_t{timeline.hidden.size()}));
  KAKEYA_RETURN_IF_ERROR(sink->Write(std::as_bytes(std::span(timeline.hidden))));
  KAKEYA_RETURN_IF_ERROR(SaveKv(timeline.cache, sink));
  if (!timeline.restoration) return OkStatus();
  const Restorer& restorer = *timeline.restoration->restorer;
  KAKEYA_RETURN_IF_ERROR(sink->WriteNumber(static_cast<uint64_t>(restorer.size())));
  return restorer.SaveState(sink);
}

template <typename T>
T NumberAt(std::span<const std::byte> bytes, size_t offset) {
  assert(offset + sizeof(T) <= bytes.size());
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

Status CheckHead(std::span<const std::byte> file) {
  if (file.size() < kHeadBytes + kChecksumBytes ||
      std::memcmp(file.data(), kMagic.data(), kMagic.size()) != 0) {
    return Corrupt("not a saved session");
  }
  const auto version = NumberAt<uint64_t>(file, kMagic.size());
  if (version != kVersion) {
    return Unsupported("a saved session of version {}, this program reads version {}", version,
                       kVersion);
  }
  const auto length = NumberAt<uint64_t>(file, kMagic.size() + sizeof(uint64_t));
  if (length != file.size()) {
    return Corrupt("has {} bytes, {} were written: it was cut or changed", file.size(), length);
  }
  return OkStatus();
}

// The body of a file whose every bit is as it was written.
Result<std::span<const std::byte>> CheckFrame(std::span<const std::byte> file) {
  KAKEYA_RETURN_IF_ERROR(CheckHead(file));
  const size_t end = file.size() - kChecksumBytes;
  if (NumberAt<uint64_t>(file, end) != XXH3_64bits(file.data(), end)) {
    return Corrupt("was changed since it was written: the checksum is another one");
  }
  return file.subspan(kHeadBytes, end - kHeadBytes);
}

Status CheckTraits(const SessionTraits& traits, StateSource* source) {
  KAKEYA_ASSIGN_OR_RETURN(const uint64_t count, source->ReadNumber<uint64_t>());
  for (const auto& [name, value] : std::span(traits).first(std::min(count, traits.size()))) {
    KAKEYA_ASSIGN_OR_RETURN(const uint64_t size, source->ReadNumber<uint64_t>());
    KAKEYA_ASSIGN_OR_RETURN(const std::span<const std::byte> bytes, source->Take(size));
    const std::string_view saved(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (saved != value) {
      return InvalidArgument("was saved with {} {}, this session has {}", name, Quoted(saved),
                             Quoted(value));
    }
  }
  // Other policies have other traits; the policy itself comes first, and was named.
  if (count != traits.size()) {
    return Corrupt("tells {} traits of the session instead of {}", count, traits.size());
  }
  return OkStatus();
}

// A counted list of numbers.
template <typename T>
Result<std::vector<T>> ReadList(StateSource* source) {
  KAKEYA_ASSIGN_OR_RETURN(const uint64_t count, source->ReadNumber<uint64_t>());
  KAKEYA_RETURN_IF_ERROR(source->Require(count, sizeof(T)));
  std::vector<T> out(static_cast<size_t>(count));
  KAKEYA_RETURN_IF_ERROR(source->Read(std::as_writable_bytes(std::span(out))));
  return out;
}

Status ReadRestored(std::span<const int32_t> tokens, StateSource* source, Restorer* restorer) {
  KAKEYA_ASSIGN_OR_RETURN(const uint64_t told, source->ReadNumber<uint64_t>());
  if (told > tokens.size()) {
    return Corrupt("the restorer knows {} tokens of a text of {}", told, tokens.size());
  }
  return restorer->LoadState(source, tokens.first(static_cast<size_t>(told)));
}

Status ReadTimeline(std::span<const int32_t> tokens, StateSource* source, Timeline* timeline) {
  KAKEYA_RETURN_IF_ERROR(LoadKv(source, &timeline->cache));
  if (timeline->cache.size() > static_cast<int64_t>(tokens.size())) {
    return Corrupt("the cache holds {} tokens of a text of {}", timeline->cache.size(),
                   tokens.size());
  }
  if (!timeline->hidden.empty() && timeline->cache.size() == 0) {
    return Corrupt("there is a final state, but nothing in the cache");
  }
  if (timeline->restoration) {
    KAKEYA_RETURN_IF_ERROR(ReadRestored(tokens, source, timeline->restoration->restorer.get()));
  }
  if (source->remaining() != 0) {
    return Corrupt("{} bytes are left over at the end", source->remaining());
  }
  return OkStatus();
}

}  // namespace

Status WriteSessionFile(const std::string& path, const SessionTraits& traits,
                        std::span<const int32_t> tokens, const Timeline& timeline) {
  Counter body;
  KAKEYA_RETURN_IF_ERROR(WriteBody(traits, tokens, timeline, &body).WithContext(path));
  KAKEYA_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path, AtomicFile::Naming::kLate,
                                                              AtomicFile::Access::kOwner));
  HashedFile out(&file);
  KAKEYA_RETURN_IF_ERROR(out.Write(std::as_bytes(std::span(kMagic))));
  KAKEYA_RETURN_IF_ERROR(out.WriteNumber(kVersion));
  KAKEYA_RETURN_IF_ERROR(out.WriteNumber(kHeadBytes + body.bytes() + kChecksumBytes));
  KAKEYA_RETURN_IF_ERROR(WriteBody(traits, tokens, timeline, &out));
  KAKEYA_RETURN_IF_ERROR(out.WriteNumber(out.Hash()));
  return file.Commit();
}

Status CheckSessionFile(const std::string& path) {
  KAKEYA_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  const Status status = CheckHead(file.bytes());
  KAKEYA_RETURN_IF_ERROR(file.CheckIntact());
  return status.WithContext(path);
}

Result<std::vector<int32_t>> ReadSessionFile(
    const std::string& path, const SessionTraits& traits,
    const std::function<Status(std::span<const int32_t> tokens)>& check, Timeline* timeline) {
  KAKEYA_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  const auto read = [&]() -> Result<std::vector<int32_t>> {
    KAKEYA_ASSIGN_OR_RETURN(const std::span<const std::byte> body, CheckFrame(file.bytes()));
    StateSource source(body);
    KAKEYA_RETURN_IF_ERROR(CheckTraits(traits, &source));
    KAKEYA_ASSIGN_OR_RETURN(std::vector<int32_t> tokens, ReadList<int32_t>(&source));
    KAKEYA_RETURN_IF_ERROR(check(tokens));
    KAKEYA_ASSIGN_OR_RETURN(timeline->hidden, ReadList<float>(&source));
    KAKEYA_RETURN_IF_ERROR(ReadTimeline(tokens, &source, timeline));
    return tokens;
  };
  Result<std::vector<int32_t>> tokens = read();
  // A file that changed under us explains any other error, and makes success worthless.
  KAKEYA_RETURN_IF_ERROR(file.CheckIntact());
  if (!tokens.ok()) return tokens.status().WithContext(path);
  return tokens;
}

}  // namespace kakeya
