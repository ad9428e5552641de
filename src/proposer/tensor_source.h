// Where the tensors of a restorer come from: a file, or a generator of random numbers.
#ifndef KAKEYA_PROPOSER_TENSOR_SOURCE_H_
#define KAKEYA_PROPOSER_TENSOR_SOURCE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/tensor_view.h"
#include "format/safetensors.h"

namespace kakeya {

class TensorSource {
 public:
  virtual ~TensorSource() = default;
  // A tensor of this very shape, not necessarily aligned, valid until Done. Errors: one line naming
  // the tensor.
  virtual Result<TensorView> Get(const std::string& name, const std::vector<int64_t>& shape) = 0;
  // For messages: the file.
  virtual std::string where() const = 0;
  // What Get gave so far has been copied.
  virtual void Done() = 0;
};

class FileSource : public TensorSource {
 public:
  explicit FileSource(const SafetensorsFile* file) : file_(file) {}
  Result<TensorView> Get(const std::string& name, const std::vector<int64_t>& shape) override;
  std::string where() const override { return file_->file().path(); }
  void Done() override;

 private:
  const SafetensorsFile* file_;
  std::vector<const SafetensorsEntry*> open_;
};

// F32: matrices normal with variance 1 / inputs, "norm" tensors 1, biases and distances 0.
class RandomSource : public TensorSource {
 public:
  explicit RandomSource(uint64_t seed) : state_(seed) {}
  Result<TensorView> Get(const std::string& name, const std::vector<int64_t>& shape) override;
  std::string where() const override { return "random restorer"; }
  void Done() override { made_.clear(); }

 private:
  double Uniform();  // in (0, 1)
  float Normal();

  uint64_t state_;
  std::vector<std::vector<float>> made_;
};

}  // namespace kakeya

#endif  // KAKEYA_PROPOSER_TENSOR_SOURCE_H_
