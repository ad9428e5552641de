#include "model/rope.h"

#include <algorithm>
#include <cmath>
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

// The dimension pair that turns so many times within the original context.
double YarnDimension(const RopeConfig& rope, int head_dim, double turns) {
  const double original = static_cast<double>(rope.original_max_positions);
  return head_dim * elementary::Log(original / (turns * 2 * std::numbers::pi)) /
         (2 * elementary::Log(rope.theta));
}

// YaRN (Peng et al. 2023): `frequency` is that of dimension pair `pair`.
double ScaleYarn(const RopeConfig& rope, int head_dim, size_t pair, double frequency) {
  double low = YarnDimension(rope, head_dim, rope.beta_fast);
  double high = YarnDimension(rope, head_dim, rope.beta_slow);
  if (rope.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, head_dim - 1.0);
  if (low == high) high += 0.001;  // as the reference implementation: a ramp has a length
  const double ramp = std::clamp((static_cast<double>(pair) - low) / (high - low), 0.0, 1.0);
  return frequency / rope.factor * ramp + frequency * (1 - ramp);
}

// The list of kLongRope that the model's context asks for.
const std::vector<float>& LongRopeFactors(const RopeConfig& rope, int64_t max_positions) {
  return max_positions > rope.original_max_positions ? rope.factors : rope.short_factors;
}

}  // namespace

int RotaryHeadDim(const ModelConfig& config, int rope) {
  for (const LayerConfig& layer : config.layers) {
    if (layer.rope == rope) return layer.head_dim;
  }
  return config.layers.front().head_dim;
}

Rotation RotationOf(const ModelConfig& config, int rope) {
  return {.frequencies = RopeFrequencies(config, rope),
          .magnitude = static_cast<float>(config.ropes[rope].attention_factor)};
}

std::vector<float> RopeFrequencies(const ModelConfig& config, int index) {
  const RopeConfig& rope = config.ropes[index];
  const int head_dim = RotaryHeadDim(config, index);
  std::vector<float> frequencies(static_cast<size_t>(head_dim / 2));
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double exponent = 2.0 * static_cast<double>(i) / head_dim;
    const double plain = 1.0 / elementary::Pow(rope.theta, exponent);
    float frequency = static_cast<float>(plain);
    switch (rope.scaling) {
      case RopeScaling::kNone:
      case RopeScaling::kDynamic:
        break;
      case RopeScaling::kLinear:
        frequency /= static_cast<float>(rope.factor);
        break;
      case RopeScaling::kLlama3:
        frequency = ScaleLlama3(rope, frequency);
        break;
      case RopeScaling::kFactors:
        frequency /= rope.factors[i];
        break;
      case RopeScaling::kYarn:
        frequency = static_cast<float>(ScaleYarn(rope, head_dim, i, plain));
        break;
      case RopeScaling::kLongRope:
        frequency /= LongRopeFactors(rope, config.max_positions)[i];
        break;
    }
    frequencies[i] = frequency;
  }
  return frequencies;
}

void RopeTables(const Rotation& rotation, int64_t first, int64_t rows, float* cos, float* sin) {
  const std::vector<float>& frequencies = rotation.frequencies;
  const int64_t half = static_cast<int64_t>(frequencies.size());
  for (int64_t row = 0; row < rows; ++row) {
    const float position = static_cast<float>(first + row);
    for (int64_t i = 0; i < half; ++i) {
      const double angle = double{position * frequencies[i]};  // the product is rounded to F32
      const auto [sine, cosine] = elementary::SinCos(angle);
      cos[row * half + i] = static_cast<float>(cosine) * rotation.magnitude;
      sin[row * half + i] = static_cast<float>(sine) * rotation.magnitude;
    }
  }
}

}  // namespace kakeya
