#include "decode/step.h"

#include <algorithm>
#include <cassert>

#include "base/memory_budget.h"

namespace kakeya {
namespace {

// A sequence with its place in the pass.
struct Block {
  StepSequence* sequence = nullptr;
  int64_t final_rows = 0;
  int64_t draft_rows = 0;
  int64_t first_row = 0;  // in the workspace

  int64_t rows() const { return final_rows + draft_rows; }
  // Whether the last final id is read by now, so that a token can be decided.
  bool reaches_end() const {
    return sequence->timeline->cache.size() + final_rows ==
           static_cast<int64_t>(sequence->ids.size());
  }
};

// Where the sequence's next block begins.
int64_t FirstPosition(const StepSequence& sequence) {
  if (sequence.options.max_tokens == 0) return sequence.timeline->cache.size();
  return FirstToRead(*sequence.timeline, static_cast<int64_t>(sequence.ids.size()));
}

int64_t PendingRows(const StepSequence& sequence) {
  const int64_t pending = static_cast<int64_t>(sequence.ids.size()) - FirstPosition(sequence);
  return std::min(pending, sequence.max_rows);
}

// 1. Draft.
Block PutTogether(StepSequence* sequence, int64_t first_row) {
  const int64_t first_position = FirstPosition(*sequence);
  if (first_position < sequence->timeline->cache.size()) {
    TruncateCache(first_position, sequence->timeline);
  }
  Block block{.sequence = sequence, .final_rows = PendingRows(*sequence), .first_row = first_row};
  if (!block.reaches_end() || sequence->options.max_tokens == 0) return block;
  assert(static_cast<int64_t>(sequence->drafts.size()) <= kMaxDrafts);
  // Where a block is longer than the staging area it could not be rolled back.
  const int64_t room = kStaging - block.final_rows;
  block.draft_rows = std::clamp<int64_t>(room, 0, static_cast<int64_t>(sequence->drafts.size()));
  return block;
}

// Opens the block in the cache. What rows of a long block choose among may become whole within it,
// so the restorer is told its final ids first.
Status Open(const OpContext& context, const Block& block) {
  if (block.rows() == 0) return OkStatus();
  Timeline* const timeline = block.sequence->timeline;
  KAKEYA_RETURN_IF_ERROR(TellRestorer(context, block.sequence->ids,
                                      timeline->cache.size() + block.final_rows, timeline));
  return timeline->cache.Stage(block.rows());
}

// Leaves the timeline as it was before the block, or empty.
void TakeBack(const Block& block) {
  Timeline* const timeline = block.sequence->timeline;
  if (timeline->cache.staged() > 0) timeline->cache.Rollback();
  if (!timeline->cache.intact()) TruncateCache(timeline->cache.size(), timeline);
}

// 2. Verify: the hidden states of all blocks.
void RunBlocks(const OpContext& context, const Model& model, std::span<Block> blocks,
               Workspace* workspace) {
  std::vector<Sequence> sequences;
  std::vector<int32_t> ids;
  for (const Block& block : blocks) {
    StepSequence& sequence = *block.sequence;
    if (!sequence.status.ok() || block.rows() == 0) continue;
    Timeline& timeline = *sequence.timeline;
    sequences.push_back({.cache = &timeline.cache,
                         .restoration = timeline.restoration ? &*timeline.restoration : nullptr,
                         .rows = static_cast<int>(block.rows())});
    const auto fresh = sequence.ids.subspan(static_cast<size_t>(timeline.cache.size()),
                                            static_cast<size_t>(block.final_rows));
    ids.insert(ids.end(), fresh.begin(), fresh.end());
    const auto drafts = sequence.drafts.first(static_cast<size_t>(block.draft_rows));
    ids.insert(ids.end(), drafts.begin(), drafts.end());
  }
  if (sequences.empty()) return;
  Forward(context, model, ids, sequences, {}, workspace);
  size_t next = 0;
  int64_t row = 0;
  for (Block& block : blocks) {
    if (!block.sequence->status.ok() || block.rows() == 0) continue;
    block.first_row = row;
    row += block.rows();
    block.sequence->status = sequences[next++].status;
    if (!block.sequence->status.ok()) TakeBack(block);
  }
}

// Whether tokens are drawn behind a block.
bool Decides(const Block& block) {
  return block.sequence->status.ok() && block.reaches_end() &&
         block.sequence->options.max_tokens > 0;
}

// The logits that tokens are drawn from, in workspace->logits: of each block that decides, those
// behind its last final id, then those behind each draft. Gives each block's first row there.
std::vector<int64_t> ComputeLogits(const OpContext& context, const Model& model,
                                   std::span<const Block> blocks, Workspace* workspace) {
  const int64_t width = model.config.hidden_size;
  std::vector<int64_t> first;
  int64_t rows = 0;
  const auto take = [&](const float* from, int64_t n) {
    assert(rows + n <= workspace->logit_rows);
    std::copy_n(from, n * width, workspace->drawn.as<float>() + rows * width);
    rows += n;
  };
  for (const Block& block : blocks) {
    first.push_back(rows);
    if (!Decides(block)) continue;
    const float* const hidden = workspace->hidden.as<float>() + block.first_row * width;
    if (block.final_rows == 0) take(block.sequence->timeline->hidden.data(), 1);
    const int64_t from = std::max<int64_t>(block.final_rows - 1, 0);
    take(hidden + from * width, block.rows() - from);
  }
  if (rows > 0) {
    Logits(context, model, workspace->drawn.as<float>(), rows, workspace->logits.as<float>());
  }
  return first;
}

// What ends the text behind a token that was decided for `position`, if anything does.
std::optional<StopReason> EndBehind(const StepSequence& sequence, int32_t token, int64_t position) {
  if (sequence.decide) {
    if (const std::optional<StopReason> reason = sequence.decide(token)) return reason;
  }
  const DecodeOptions& options = sequence.options;
  if (static_cast<int64_t>(sequence.tokens.size()) >= options.max_tokens) {
    return StopReason::kLength;
  }
  if (position + 1 >= options.max_positions) return StopReason::kContext;
  return std::nullopt;
}

// Decides tokens as long as drafts foretell them: what the verifier draws is right, and the next
// draft can only be looked at if it is the same.
void DecideTokens(const Block& block, const float* logits, size_t vocabulary) {
  StepSequence& sequence = *block.sequence;
  const DecodeOptions& options = sequence.options;
  for (int64_t i = 0; i <= block.draft_rows; ++i) {
    const int64_t position = static_cast<int64_t>(sequence.ids.size()) + i;
    const Result<int32_t> token = SampleAt(
        {logits + static_cast<size_t>(i) * vocabulary, vocabulary}, options.sampling, position);
    if (!token.ok()) {
      // Behind a draft that was accepted it is the next step's error, which begins there.
      if (i == 0) sequence.status = token.status();
      return;
    }
    if (std::find(options.eos.begin(), options.eos.end(), *token) != options.eos.end()) {
      sequence.stop = StopReason::kEos;
      return;
    }
    sequence.tokens.push_back(*token);
    sequence.stop = EndBehind(sequence, *token, position);
    const bool foretold = i < block.draft_rows && sequence.drafts[i] == *token;
    if (foretold) ++sequence.accepted;
    if (sequence.stop || !foretold) return;
  }
}

// 3. Commit.
void Commit(const Model& model, const Block& block, const Workspace& workspace) {
  StepSequence& sequence = *block.sequence;
  Timeline& timeline = *sequence.timeline;
  if (block.rows() == 0) return;
  const int64_t kept = block.final_rows + sequence.accepted;
  timeline.cache.Commit(kept);
  sequence.read = block.final_rows;
  if (kept == 0) return;
  const int64_t width = model.config.hidden_size;
  const float* const last = workspace.hidden.as<float>() + (block.first_row + kept - 1) * width;
  timeline.hidden.assign(last, last + width);
}

// 4. Tell. A restorer that can't take the accepted tokens now is told before the next block.
void TellAccepted(const OpContext& context, const StepSequence& sequence) {
  if (!sequence.timeline->restoration || sequence.accepted == 0) return;
  (void)sequence.timeline->restoration->restorer->Extend(
      context, std::span(sequence.tokens).first(static_cast<size_t>(sequence.accepted)));
}

}  // namespace

const char* NameOf(StopReason reason) {
  switch (reason) {
    case StopReason::kLength:
      return "length";
    case StopReason::kEos:
      return "eos";
    case StopReason::kStopString:
      return "stop";
    case StopReason::kContext:
      return "context";
    case StopReason::kInterrupted:
      return "interrupted";
  }
  return "?";
}

StepRows RowsOfStep(const StepSequence& sequence) {
  const auto drafts = static_cast<int64_t>(sequence.drafts.size());
  // A workspace has one at least.
  return {.rows = std::max<int64_t>(PendingRows(sequence) + drafts, 1), .logit_rows = 1 + drafts};
}

void Step(const OpContext& context, const Model& model, std::span<StepSequence> sequences,
          Workspace* workspace) {
  std::vector<Block> blocks;
  int64_t rows = 0;
  for (StepSequence& sequence : sequences) {
    sequence.read = 0;
    sequence.accepted = 0;
    sequence.tokens.clear();
    sequence.stop.reset();
    const Block block = PutTogether(&sequence, rows);
    sequence.status = Open(context, block);
    if (!sequence.status.ok()) TakeBack(block);
    rows += block.rows();
    blocks.push_back(block);
  }
  RunBlocks(context, model, blocks, workspace);
  const std::vector<int64_t> first = ComputeLogits(context, model, blocks, workspace);
  const int64_t vocabulary = model.config.vocab_size;
  for (size_t i = 0; i < blocks.size(); ++i) {
    StepSequence& sequence = *blocks[i].sequence;
    if (!sequence.status.ok()) continue;
    if (Decides(blocks[i])) {
      DecideTokens(blocks[i], workspace->logits.as<float>() + first[i] * vocabulary,
                   static_cast<size_t>(vocabulary));
    }
    // Logits that are no numbers take nothing back: what was read stays read.
    Commit(model, blocks[i], *workspace);
    TellAccepted(context, sequence);
  }
}

}  // namespace kakeya
