// The proposer: a small encoder that looks at a chunk and its predecessor only, in both directions,
// and gives each token a code. The predecessor's keys and values are those of its own pass, so
// states cascade: a code depends on the ids of layers + 1 chunks and, by exact recurrence alone
// (FindRecurrence), on those of the whole history before; never on what follows, nor on how the
// history was cut into calls.
//
// All memory is allocated when it is made: the predecessor's keys and values per layer (resident,
// MemoryTag::kKv) and the activations of a few chunks at once.
//
// Thread safety: none; an encoder belongs to one session.
#ifndef KAKEYA_PROPOSER_ENCODER_H_
#define KAKEYA_PROPOSER_ENCODER_H_

#include <cstdint>
#include <vector>

#include "backend/ops.h"
#include "base/memory_budget.h"
#include "base/status.h"
#include "cache/saved_state.h"
#include "model/forward.h"
#include "proposer/history.h"
#include "proposer/restorer_model.h"

namespace kakeya {

class Encoder {
 public:
  // Chunks that one pass takes, in parallel if there are threads.
  static constexpr int kPassChunks = 8;

  // Both models outlive the encoder. Errors: ResourceExhausted.
  static Result<Encoder> Create(const Model* verifier, const RestorerModel* model,
                                MemoryBudget* budget);

  // Fills in codes and summaries of the history's chunks [first, first + count), which follow those
  // encoded so far. REQUIRES: records up to there hold their ids; count in [1, kPassChunks].
  void Encode(const OpContext& context, int64_t first, int count, History* history);
  // Goes back to where only the first `chunks` chunks have been encoded: what those that follow
  // want of their predecessor is computed again. REQUIRES: the history holds those chunks.
  void Rewind(const OpContext& context, const History& history, int64_t chunks);

  // What the next chunk wants of its predecessor, if there is one. Errors: the sink's.
  Status SaveState(StateSink* sink) const;
  // Takes it over. Errors: Corrupt. REQUIRES: nothing has been encoded yet.
  Status LoadState(StateSource* source, bool has_predecessor);

 private:
  // Activations of one chunk.
  struct Slot {
    Buffer embedded;     // (kChunk, verifier hidden)
    Buffer followers;    // (kChunk, next * token_dim): their features; empty without recurrence
    Buffer hidden;       // (kChunk, d): the residual stream
    Buffer normed;       // (kChunk, d)
    Buffer q, k, v;      // (kChunk, heads, head_dim)
    Buffer turned;       // (kChunk, heads, head_dim): k rotated
    Buffer gate, up;     // (kChunk, ffn)
    Buffer logits;       // (kChunk, pool_heads)
    Buffer outputs;      // (kChunk, max(code_dim, summary dim))
    Buffer own;          // one page: keys as the chunk itself sees them
    Buffer predecessor;  // one page: keys as its successor sees them
  };

  Encoder(const Model* verifier, const RestorerModel* model) : verifier_(verifier), model_(model) {}

  Result<Slot> NewSlot(MemoryBudget* budget) const;
  // All layers of the chunks [first, first + count): leaves their states in the slots, and the last
  // one's keys and values in predecessor_.
  void RunLayers(const OpContext& inner, ThreadPool* outer, const History& history, int64_t first,
                 int count);
  void Embed(const OpContext& context, const ChunkRecord& record, Slot* slot) const;
  // Adds to the embedded tokens of a chunk what recurrence tells of them.
  void AddRecurrence(const OpContext& context, const History& history, int64_t chunk,
                     Slot* slot) const;
  // Queries, and keys and values in their pages.
  void Project(const OpContext& context, const ProposerLayer& layer, Slot* slot) const;
  // The rest of a layer. `predecessor`: a page, null for the first chunk.
  void Mix(const OpContext& context, const ProposerLayer& layer, void* predecessor,
           Slot* slot) const;
  void Finish(const OpContext& context, const MutableChunkRecord& record, Slot* slot) const;

  const Model* verifier_;
  const RestorerModel* model_;
  std::vector<Buffer> predecessor_;  // per layer: a page
  bool has_predecessor_ = false;
  std::vector<Slot> slots_;  // (kPassChunks)
};

}  // namespace kakeya

#endif  // KAKEYA_PROPOSER_ENCODER_H_
