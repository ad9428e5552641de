#include "proposer/history.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <iterator>
#include <limits>
#include <utility>

namespace kakeya {
size_t History::RecordBytes(const RestorerConfig& config) {
  const RestorerConfig::Summary& summary = config.summary;
  const size_t floats = static_cast<size_t>(kChunk) + summary.segments;
  return kChunk * sizeof(int32_t) + floats * sizeof(float) + size_t{kChunk} * config.code_dim +
         static_cast<size_t>(summary.segments) * summary.dim / 2;
}

History::History(const RestorerConfig& config, MemoryBudget* budget)
    : segments_(config.summary.segments),
      code_dim_(config.code_dim),
      record_bytes_(RecordBytes(config)),
      budget_(budget) {}

Status History::Add(int64_t count) {
  std::vector<Buffer> fresh;
  for (int64_t i = 0; i < count; ++i) {
    KAKEYA_ASSIGN_OR_RETURN(Buffer record, budget_->Allocate(MemoryTag::kHistory, record_bytes_,
                                                             "codes of the history"));
    fresh.push_back(std::move(record));
  }
  for (const Buffer& record : fresh) ids_.push_back(record.as<int32_t>());
  std::move(fresh.begin(), fresh.end(), std::back_inserter(records_));
  bad_.resize(records_.size());
  return OkStatus();
}

void History::Truncate(int64_t chunks) {
  assert(chunks >= 0 && chunks <= this->chunks());
  records_.erase(records_.begin() + chunks, records_.end());
  ids_.resize(records_.size());
  bad_.resize(records_.size());
  bad_chunks_ = std::count(bad_.begin(), bad_.end(), uint8_t{1});
}

ChunkRecord History::At(int64_t chunk) const {
  assert(chunk >= 0 && chunk < chunks());
  const int32_t* const ids = records_[chunk].as<int32_t>();
  const auto* const code_scales = reinterpret_cast<const float*>(ids + kChunk);
  const float* const summary_scales = code_scales + kChunk;
  const auto* const codes = reinterpret_cast<const int8_t*>(summary_scales + segments_);
  const int8_t* const end = codes + int64_t{kChunk} * code_dim_;
  return {.ids = ids,
          .code_scales = code_scales,
          .summary_scales = summary_scales,
          .codes = codes,
          .summaries = reinterpret_cast<const uint8_t*>(end)};
}

MutableChunkRecord History::MutableAt(int64_t chunk) {
  const ChunkRecord record = At(chunk);
  return {.ids = const_cast<int32_t*>(record.ids),
          .code_scales = const_cast<float*>(record.code_scales),
          .summary_scales = const_cast<float*>(record.summary_scales),
          .codes = const_cast<int8_t*>(record.codes),
          .summaries = const_cast<uint8_t*>(record.summaries)};
}

std::span<const std::byte> History::CodesOf(int64_t chunk) const {
  assert(chunk >= 0 && chunk < chunks());
  const Buffer& record = records_[chunk];
  return std::span<const std::byte>(record.data(), record.size()).subspan(kChunk * sizeof(int32_t));
}

std::span<std::byte> History::MutableCodesOf(int64_t chunk) {
  const std::span<const std::byte> codes = CodesOf(chunk);
  return {const_cast<std::byte*>(codes.data()), codes.size()};
}

void History::Seal(int64_t chunk) {
  const MutableChunkRecord record = MutableAt(chunk);
  const auto is_number = [](float scale) { return std::isfinite(scale); };
  const float* const scales = record.code_scales;
  if (std::all_of(scales, scales + kChunk + segments_, is_number)) return;
  std::fill_n(record.code_scales, kChunk, std::numeric_limits<float>::quiet_NaN());
  bad_[chunk] = 1;
  ++bad_chunks_;
}

}  // namespace kakeya
