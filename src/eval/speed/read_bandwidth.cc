#include "eval/speed/read_bandwidth.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "backend/read_memory.h"

namespace kakeya {
namespace {

constexpr size_t kMostBytes = size_t{1} << 30;
constexpr size_t kPatterns = kReadPatterns.size();

}  // namespace

Result<ReadBandwidth> ReadBandwidth::Create(ThreadPool* pool, MemoryBudget* budget) {
  constexpr size_t kUnit = kPatterns * kReadUnit;
  const size_t bytes = std::min(kMostBytes, budget->available() / 4) / kUnit * kUnit;
  KAKEYA_ASSIGN_OR_RETURN(
      Buffer buffer, budget->Allocate(MemoryTag::kScratch, std::max(bytes, kUnit), "bandwidth"));
  std::memset(buffer.data(), 1, buffer.size());
  return ReadBandwidth(pool, std::move(buffer));
}

double ReadBandwidth::Measure() {
  const size_t part = buffer_.size() / kPatterns;
  double best = 0;
  for (size_t i = 0; i < kPatterns; ++i) {
    const size_t turn = (turn_ + i) % kPatterns;
    const auto start = std::chrono::steady_clock::now();
    sum_ += ReadMemory(pool_, {buffer_.data() + i * part, part}, kReadPatterns[turn]);
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    best = std::max(best, static_cast<double>(part) / taken.count());
  }
  ++turn_;
  return best;
}

}  // namespace kakeya
