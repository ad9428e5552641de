#include "eval/recall/run/history_edit.h"

#include <algorithm>
#include <cassert>

#include "cache/window.h"
#include "eval/recall/prompts/random.h"

namespace kakeya {

std::vector<uint8_t> ChunksOf(const std::vector<TokenRange>& ranges, int following,
                              int64_t tokens) {
  const int64_t chunks = (tokens + kChunk - 1) / kChunk;
  std::vector<uint8_t> named(chunks);
  for (const TokenRange& range : ranges) {
    if (range.end <= range.begin) continue;
    const int64_t last = std::min(ChunkOf(range.end - 1) + int64_t{following}, chunks - 1);
    for (int64_t c = ChunkOf(range.begin); c <= last; ++c) named[c] = 1;
  }
  return named;
}

std::vector<int32_t> FitTo(std::span<const int32_t> ids, size_t size) {
  assert(!ids.empty());
  std::vector<int32_t> out(size);
  for (size_t i = 0; i < size; ++i) out[i] = ids[i % ids.size()];
  return out;
}

std::vector<int32_t> Overwritten(std::span<const int32_t> ids,
                                 const std::vector<TokenRange>& ranges) {
  std::vector<int32_t> outside;
  std::vector<size_t> before;  // per range: so many of `outside`
  int64_t next = 0;
  for (const TokenRange& range : ranges) {
    const int64_t begin = std::max(range.begin, next);  // two ranges may share a token
    outside.insert(outside.end(), ids.begin() + next, ids.begin() + begin);
    before.push_back(outside.size());
    next = std::max(next, range.end);
  }
  outside.insert(outside.end(), ids.begin() + next, ids.end());
  std::vector<int32_t> out(ids.begin(), ids.end());
  for (size_t i = 0; i < ranges.size(); ++i) {
    if (ranges[i].end <= ranges[i].begin) continue;
    const size_t size = ranges[i].end - ranges[i].begin;
    const size_t first = before[i] - std::min(before[i], size);
    const size_t count = before[i] > 0 ? before[i] - first : std::min(size, outside.size());
    const std::vector<int32_t> other = FitTo(std::span(outside).subspan(first, count), size);
    std::copy(other.begin(), other.end(), out.begin() + ranges[i].begin);
  }
  return out;
}

std::vector<int32_t> Shuffled(std::span<const int32_t> ids, uint64_t seed) {
  std::vector<int32_t> out(ids.begin(), ids.end());
  RecallRandom(seed).Shuffle(&out);
  return out;
}

HistoryEdit EditFor(RecallArm arm, const EditInputs& inputs) {
  const RecallPrompt& prompt = inputs.prompt;
  HistoryEdit edit;
  switch (arm) {
    case RecallArm::kForeign:
      edit.ids = FitTo(inputs.foreign, prompt.context.size());
      break;
    case RecallArm::kShuffled:
      edit.ids = Shuffled(prompt.context, inputs.seed);
      break;
    case RecallArm::kCounterfactual:
      assert(prompt.edited_context.size() == prompt.context.size());
      edit.ids = prompt.edited_context;
      break;
    case RecallArm::kWithoutNeedle:
      // To exclude the chunks that read the needle is not enough: by recurrence any later chunk may
      // know of it. So the restorer is not told of it at all.
      edit.ids = Overwritten(prompt.context, prompt.needles);
      edit.excluded = ChunksOf(prompt.needles, inputs.proposer_layers, inputs.total_tokens);
      break;
    case RecallArm::kOnlyNeedle:
      edit.excluded = ChunksOf(prompt.needles, 0, inputs.total_tokens);
      for (uint8_t& excluded : edit.excluded) excluded = excluded == 0 ? 1 : 0;
      break;
    default:
      break;
  }
  return edit;
}

}  // namespace kakeya
