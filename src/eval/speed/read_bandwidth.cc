#include "eval/speed/read_bandwidth.h"

#include <algorithm>
#include <chrono>
#include <cstring>

namespace kakeya {
namespace {

constexpr size_t kTasks = 512;
constexpr size_t kWords = 8;  // summed side by side
constexpr size_t kMostBytes = size_t{1} << 30;

}  // namespace

Result<ReadBandwidth> ReadBandwidth::Create(ThreadPool* pool, MemoryBudget* budget) {
  constexpr size_t kUnit = kTasks * kWords * sizeof(uint64_t);
  const size_t bytes = std::min(kMostBytes, budget->available() / 4) / kUnit * kUnit;
  KAKEYA_ASSIGN_OR_RETURN(
      Buffer buffer, budget->Allocate(MemoryTag::kScratch, std::max(bytes, kUnit), "bandwidth"));
  std::memset(buffer.data(), 1, buffer.size());
  ReadBandwidth out(pool, std::move(buffer));
  out.sums_.resize(kTasks);
  return out;
}

double ReadBandwidth::Measure() {
  const size_t words = buffer_.size() / sizeof(uint64_t) / kTasks;  // of one task
  const auto start = std::chrono::steady_clock::now();
  ParallelFor(pool_, kTasks, [&](int64_t task) {
    const uint64_t* from = buffer_.as<uint64_t>() + static_cast<size_t>(task) * words;
    uint64_t sum[kWords] = {};
    for (size_t i = 0; i < words; i += kWords) {
      for (size_t j = 0; j < kWords; ++j) sum[j] += from[i + j];
    }
    for (const uint64_t s : sum) sums_[static_cast<size_t>(task)] += s;
  });
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  return static_cast<double>(buffer_.size()) / taken.count();
}

}  // namespace kakeya
