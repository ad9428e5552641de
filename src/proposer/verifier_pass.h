// The verifier run once more over a text from its start, with full attention, one layer after the
// other, so that each layer's exact keys and values can be had before they are rotated.
//
// Thread safety: none; keys() and values() may be read from any thread between two layers.
#ifndef KAKEYA_PROPOSER_VERIFIER_PASS_H_
#define KAKEYA_PROPOSER_VERIFIER_PASS_H_

#include <cstdint>
#include <span>

#include "backend/ops.h"
#include "base/memory_budget.h"
#include "base/status.h"
#include "model/forward.h"

namespace kakeya {

class VerifierPass {
 public:
  // `kv_type` is what attention reads keys and values in: with a session's own type, every bit is
  // that of a session that keeps everything. The model outlives the pass. Errors:
  // ResourceExhausted.
  static Result<VerifierPass> Create(const Model* model, KvType kv_type, MemoryBudget* budget);

  // Starts over with the ids at the positions [0, ids.size()). Errors: ResourceExhausted.
  Status Begin(const OpContext& context, std::span<const int32_t> ids);
  // Runs one more layer. Errors: ResourceExhausted; Begin is wanted then, and positions() says so.
  // REQUIRES: layer() isn't the last one.
  Status NextLayer(const OpContext& context);

  // The layer that ran last; -1 before the first.
  int layer() const { return layer_; }
  // Positions in the pass; kNoPass before Begin, and after an error.
  static constexpr int64_t kNoPass = -1;
  int64_t positions() const { return positions_; }
  // That layer's (positions, kv_heads, head_dim): keys after the norm and before the rotation.
  const float* keys() const { return k_.as<float>(); }
  const float* values() const { return v_.as<float>(); }
  // One KV head of the kChunk positions from `first` on, each (kChunk, head_dim), by the device
  // that Begin was given.
  void CopyChunk(int64_t first, int kv_head, float* k, float* v) const;

 private:
  VerifierPass(const Model* model, KvType kv_type, MemoryBudget* budget, Workspace workspace)
      : model_(model), kv_type_(kv_type), budget_(budget), workspace_(std::move(workspace)) {}
  Status RunLayer(const OpContext& context, int layer);

  const Model* model_;
  KvType kv_type_;
  MemoryBudget* budget_;
  Workspace workspace_;
  Buffer hidden_;  // (capacity, hidden_size)
  Buffer k_;       // (capacity, kv_heads, head_dim)
  Buffer v_;       // (capacity, kv_heads, head_dim)
  Device device_ = Device::kCpu;
  int64_t capacity_ = 0;
  int64_t positions_ = kNoPass;
  int layer_ = -1;
};

}  // namespace kakeya

#endif  // KAKEYA_PROPOSER_VERIFIER_PASS_H_
