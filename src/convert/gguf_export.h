// A network as a GGUF file: which keys say what it is, which tensors hold it, and their data in
// another element type. The counterpart of gguf_config.h and weights.h, which read such files.
//
// Memory: the tensors pass through a few MiB; the source's pages are given back as they are read.
#ifndef KAKEYA_CONVERT_GGUF_EXPORT_H_
#define KAKEYA_CONVERT_GGUF_EXPORT_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/tensor_view.h"
#include "base/thread_pool.h"
#include "format/checkpoint.h"
#include "format/gguf_writer.h"
#include "model/config.h"

namespace kakeya {

// The keys of a network's architecture, as ggml's docs/gguf.md lists them; nothing of its text.
// Rotary scalings that GGUF has no keys for are no keys but the tensor rope_freqs.weight.
GgufMetadata NetworkMetadata(const ModelConfig& config);

// Says in general.file_type and general.quantization_version what most matrices are. REQUIRES:
// CanEncode(type).
void SetFileType(DType type, GgufMetadata* metadata);

// A tensor to write and where it comes from: `source`, or `values`, or, with neither, the random
// generator.
struct ExportTensor {
  GgufTensorSpec target;
  const Checkpoint::Tensor* source = nullptr;
  std::vector<float> values = {};
  // Rows of so many heads, whose rotary pairs stand half a head apart in the source and side by
  // side in the file; 0: rows stay where they are.
  int pair_heads = 0;
};

struct ExportPlan {
  std::vector<ExportTensor> tensors;
  std::vector<std::string> notes;  // what a person should know, one line each

  uint64_t elements() const;
  uint64_t bytes() const;
  std::vector<GgufTensorSpec> specs() const;
};

// What becomes of the tensors: matrices get `type`, the embedding and the head too; vectors become
// F32. A matrix whose rows are no whole blocks becomes F16, with a note.
//
// Of a folder, the tensors that the network has. Errors, naming file and tensor: NotFound, Corrupt
// (another shape than the config's), Unsupported (an element type).
Result<ExportPlan> PlanOfFolder(const Checkpoint& folder, const ModelConfig& config, DType type);
// Of a GGUF file, all that it holds, in its order.
Result<ExportPlan> PlanOfGguf(const Checkpoint& file, DType type);
// Of a network with random weights: matrices are uniform with variance 1 / inputs, vectors 1.
ExportPlan PlanOfRandom(const ModelConfig& config, DType type);

struct ExportOptions {
  uint64_t seed = 0;           // of random weights
  ThreadPool* pool = nullptr;  // may be null; the bytes don't depend on it
  // Bytes written so far and in all. May be empty.
  std::function<void(uint64_t done, uint64_t total)> progress = {};
  // Asked now and then; true ends the export. May be empty.
  std::function<bool()> interrupted = {};
};

// Writes the data of all tensors. Errors, naming file, tensor and element: Corrupt (a NaN or an
// infinity), Unsupported (a number beyond the type's range), Cancelled, and the writer's. REQUIRES:
// the writer has the plan's specs.
Status ExportTensors(const ExportPlan& plan, const ExportOptions& options, GgufWriter* writer);

}  // namespace kakeya

#endif  // KAKEYA_CONVERT_GGUF_EXPORT_H_
