// What is kept of every whole chunk: token ids, codes and summaries. Nothing else of a restored
// session grows with its history.
//
//   record := ids code_scales summary_scales codes summaries
//   ids := i32 x kChunk                   code_scales := f32 x kChunk
//   summary_scales := f32 x segments      codes := i8 x kChunk x code_dim
//   summaries := two int4 a byte, segments x dim of them     (backend/restore/summary_layout.h)
//
// Thread safety: none while it grows; any number of threads may read it otherwise.
#ifndef KAKEYA_PROPOSER_HISTORY_H_
#define KAKEYA_PROPOSER_HISTORY_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/memory_budget.h"
#include "base/status.h"
#include "proposer/restorer_config.h"

namespace kakeya {

// The parts of one chunk's record.
struct ChunkRecord {
  const int32_t* ids = nullptr;           // (kChunk)
  const float* code_scales = nullptr;     // (kChunk); NaN: there is no code
  const float* summary_scales = nullptr;  // (segments)
  const int8_t* codes = nullptr;          // (kChunk, code_dim)
  const uint8_t* summaries = nullptr;     // (segments * dim / 2)
};

// The same, for whoever fills it in.
struct MutableChunkRecord {
  int32_t* ids = nullptr;
  float* code_scales = nullptr;
  float* summary_scales = nullptr;
  int8_t* codes = nullptr;
  uint8_t* summaries = nullptr;
};

class History {
 public:
  History(const RestorerConfig& config, MemoryBudget* budget);

  // What is kept of one chunk.
  static size_t RecordBytes(const RestorerConfig& config);

  // Chunks that are there, and how many of them hold no numbers.
  int64_t chunks() const { return static_cast<int64_t>(records_.size()); }
  int64_t bad_chunks() const { return bad_chunks_; }
  bool bad(int64_t chunk) const { return bad_[chunk] != 0; }
  // Bytes of all records, as the allocator counts them.
  size_t bytes() const { return records_.size() * record_bytes_; }

  // Adds `count` records, not filled in. Errors: ResourceExhausted; nothing was added then.
  Status Add(int64_t count);
  // Drops the records from `chunks` on.
  void Truncate(int64_t chunks);
  ChunkRecord At(int64_t chunk) const;
  MutableChunkRecord MutableAt(int64_t chunk);
  // The ids of all chunks, (kChunk) each.
  std::span<const int32_t* const> ids() const { return ids_; }
  // The record without its ids.
  std::span<const std::byte> CodesOf(int64_t chunk) const;
  std::span<std::byte> MutableCodesOf(int64_t chunk);
  // The record has been filled in: notes whether all its scales are numbers. If not, none of its
  // codes will pass for one.
  void Seal(int64_t chunk);

 private:
  int segments_;
  int code_dim_;
  size_t record_bytes_;
  MemoryBudget* budget_;
  std::vector<Buffer> records_;
  std::vector<const int32_t*> ids_;  // where each record has them
  std::vector<uint8_t> bad_;         // per chunk
  int64_t bad_chunks_ = 0;
};

}  // namespace kakeya

#endif  // KAKEYA_PROPOSER_HISTORY_H_
