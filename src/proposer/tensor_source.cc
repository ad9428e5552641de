#include "proposer/tensor_source.h"

#include <cmath>
#include <numbers>

#include "base/elementary.h"

namespace kakeya {

Result<TensorView> FileSource::Get(const std::string& name, const std::vector<int64_t>& shape) {
  const std::string& path = file_->file().path();
  const SafetensorsEntry* entry = file_->Find(name);
  if (entry == nullptr) return NotFound("{}: tensor {} is missing", path, name);
  if (entry->shape != shape) {
    return Corrupt("{}: {} is {}, config.json wants {}", path, name, ShapeString(entry->shape),
                   ShapeString(shape));
  }
  KAKEYA_ASSIGN_OR_RETURN(TensorView view, file_->View(*entry));
  open_.push_back(entry);
  return view;
}

void FileSource::Done() {
  for (const SafetensorsEntry* entry : open_) file_->GiveBack(*entry);
  open_.clear();
}

// SplitMix64 (Steele et al. 2014).
double RandomSource::Uniform() {
  state_ += 0x9e3779b97f4a7c15u;
  uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  z ^= z >> 31;
  return (static_cast<double>(z >> 11) + 0.5) * 0x1p-53;
}

float RandomSource::Normal() {  // Box and Muller
  const double radius = std::sqrt(-2 * elementary::Log(Uniform()));
  return static_cast<float>(radius * elementary::Cos(2 * std::numbers::pi * Uniform()));
}

Result<TensorView> RandomSource::Get(const std::string& name, const std::vector<int64_t>& shape) {
  TensorView view{DType::kF32, shape, nullptr};
  std::vector<float> values(static_cast<size_t>(view.elements()));
  if (name.find("norm") != name.npos) {
    for (float& value : values) value = 1;
  } else if (name.ends_with(".weight")) {
    const float deviation = 1.0f / std::sqrt(static_cast<float>(shape.back()));
    for (float& value : values) value = Normal() * deviation;
  }
  view.data = values.data();
  made_.push_back(std::move(values));
  return view;
}

}  // namespace kakeya
