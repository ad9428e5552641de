#include "model/rope.h"

#include <numbers>

#include "base/elementary.h"

namespace kakeya {
namespace {

// Llama 3.1's scaling by wavelength (its release's reference code): slow dimensions are stretched
// by `factor`, fast ones stay, those between are blended.
float ScaleLlama3(const RopeConfig& rope, float frequency) {
  const double original = static_cast<double>(rope.original_max_positions);
  const double wavelength = 2 * std::numbers::pi / frequency;
  if (wavelength < original / rope.high_freq_factor) return frequency;
  if (wavelength > original / rope.low_freq_factor) {
    return static_cast<float>(frequency / rope.factor);
  }
  const double blend = (original / wavelength - rope.low_freq_factor) /
                       (rope.high_freq_factor - rope.low_freq_factor);
  return static_cast<float>((1 - blend) * frequency / rope.factor + blend * frequency);
}

}  // namespace

std::vector<float> RopeFrequencies(const ModelConfig& config) {
  const RopeConfig& rope = config.rope;
  std::vector<float> frequencies(config.head_dim / 2);
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double exponent = 2.0 * static_cast<double>(i) / config.head_dim;
    float frequency = static_cast<float>(1.0 / elementary::Pow(rope.theta, exponent));
    if (rope.scaling == RopeScaling::kLinear) frequency /= static_cast<float>(rope.factor);
    if (rope.scaling == RopeScaling::kFactors) frequency /= rope.factors[i];
    if (rope.scaling == RopeScaling::kLlama3) frequency = ScaleLlama3(rope, frequency);
    frequencies[i] = frequency;
  }
  return frequencies;
}

void RopeTables(const std::vector<float>& frequencies, int64_t first, int64_t rows, float* cos,
                float* sin) {
  const int64_t half = static_cast<int64_t>(frequencies.size());
  for (int64_t row = 0; row < rows; ++row) {
    const float position = static_cast<float>(first + row);
    for (int64_t i = 0; i < half; ++i) {
      const double angle = double{position * frequencies[i]};  // the product is rounded to F32
      const auto [sine, cosine] = elementary::SinCos(angle);
      cos[row * half + i] = static_cast<float>(cosine);
      sin[row * half + i] = static_cast<float>(sine);
    }
  }
}

}  // namespace kakeya
