// The parameters of a model, checked and packed for the kernels.
//
// Thread safety: immutable after LoadWeights; any number of threads and sessions may read them.
// Invariants:
//  (1) every shape is the one that the config wants;
//  (2) every value is finite;
//  (3) nothing refers to the file any more: it is closed when LoadWeights returns.
#ifndef KAKEYA_MODEL_WEIGHTS_H_
#define KAKEYA_MODEL_WEIGHTS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "backend/packed_matrix.h"
#include "base/memory_budget.h"
#include "base/status.h"
#include "base/tensor_view.h"
#include "base/thread_pool.h"
#include "model/config.h"

namespace kakeya {

// The projections that one product computes: q, k and v stacked where their types agree, else each
// by itself (quantised files often keep v in a finer type).
struct QkvWeights {
  // One of (q_size + 2 * kv_size, hidden_size): q, then k, then v; or three, of (q_size,
  // hidden_size) and (kv_size, hidden_size) twice.
  std::vector<PackedMatrix> parts;

  bool stacked() const { return parts.size() == 1; }
};

// Matrices are (outputs, inputs), in the checkpoint's type. Norm weights are F32.
struct LayerWeights {
  Buffer attn_norm;  // (hidden_size)
  QkvWeights qkv;
  Buffer q_norm;      // (head_dim); empty without qk_norm
  Buffer k_norm;      // (head_dim); empty without qk_norm
  PackedMatrix o;     // (hidden_size, q_size)
  Buffer mlp_norm;    // (hidden_size)
  PackedMatrix gate;  // (intermediate_size, hidden_size)
  PackedMatrix up;    // (intermediate_size, hidden_size)
  PackedMatrix down;  // (hidden_size, intermediate_size)
};

struct ModelWeights {
  PackedMatrix embedding;  // (vocab_size, hidden_size)
  std::vector<LayerWeights> layers;
  Buffer final_norm;         // (hidden_size)
  PackedMatrix untied_head;  // (vocab_size, hidden_size); empty when tied
  // Of the embedding, BF16 where that comes in blocks; the cache's, where nobody says otherwise.
  DType dtype = DType::kBF16;
  int64_t parameters = 0;           // elements of the tensors in use
  int64_t unused_tensors = 0;       // in the file, beside the network
  std::string first_unused_tensor;  // one of them, for the warning

  // The matrix that turns a hidden state into logits.
  const PackedMatrix& head() const { return untied_head.rows() > 0 ? untied_head : embedding; }
};

// Called now and then from the loading thread with the bytes read so far and in all.
using LoadProgress = std::function<void(uint64_t done, uint64_t total)>;

// Reads the tensors of a model: a folder's safetensors or a GGUF file (format/checkpoint.h). The
// rows of q and k of a llama GGUF, which keeps the two halves of a rotary pair side by side, are
// put back into the order that the rest of the engine and HF's checkpoints have. Weights are
// allocated from `budget` under MemoryTag::kWeights; each tensor's part of the mapped file is given
// back once it is packed, so that the peak stays near the size of the file. `pool` and `progress`
// may be null. Errors, one line naming the file and the tensor: NotFound (no file, no such tensor),
// Corrupt (a shape other than the config's, a NaN or infinite weight with its index, a file that
// changed while it was read), Unsupported (an element type that the kernels don't compute with, a
// tensor that the network should have used: model/tensor_check.h), ResourceExhausted.
Result<ModelWeights> LoadWeights(const std::string& model, const ModelConfig& config,
                                 MemoryBudget* budget, ThreadPool* pool,
                                 const LoadProgress& progress = nullptr);

}  // namespace kakeya

#endif  // KAKEYA_MODEL_WEIGHTS_H_
