#include "decode/gumbel.h"

#include <bit>
#include <cassert>
#include <numbers>

#include "base/elementary.h"

namespace kakeya {
namespace {

constexpr uint64_t kGolden = 0x9e3779b97f4a7c15u;

// SplitMix64 (Steele, Lea, Flood 2014): the successor of state z.
uint64_t Mix(uint64_t z) {
  z += kGolden;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

// Blocks and tokens draw from the same sequence, at odd and even places.
uint64_t BlockBits(uint64_t key, int64_t block) {
  return Mix(key + (2 * static_cast<uint64_t>(block) + 1) * kGolden);
}
uint64_t TokenBits(uint64_t key, int32_t token) {
  return Mix(key + 2 * static_cast<uint64_t>(token) * kGolden);
}

// The upper 52 bits as an odd number below 2^53. Divided by that, it is a uniform number that
// double holds exactly, as it holds 1 minus it; neither is 0.
uint64_t OddNumber(uint64_t bits) { return bits >> 12 << 1 | 1; }

double Exponential(uint64_t bits) {
  return -elementary::Log(1 - static_cast<double>(OddNumber(bits)) * 0x1p-53);
}

}  // namespace

GumbelNoise::GumbelNoise(uint64_t seed, int64_t position)
    : key_(Mix(Mix(seed) ^ static_cast<uint64_t>(position))) {}

GumbelNoise::Block GumbelNoise::BlockAt(int64_t block) const {
  const uint64_t bits = BlockBits(key_, block);
  const double least = Exponential(bits) / kBlock;
  return {least, -elementary::Log(least),
          static_cast<int32_t>(block * kBlock + static_cast<int64_t>(bits % kBlock))};
}

double GumbelNoise::BoundOf(int64_t block) const {
  // -log(1 - u) >= u >= 2^(width - 54) for the uniform number u.
  const int width = std::bit_width(OddNumber(BlockBits(key_, block)));
  constexpr int kLogBlock = 6;
  static_assert(1 << kLogBlock == kBlock);
  return (54 + kLogBlock - width) * std::numbers::ln2;
}

double GumbelNoise::At(const Block& block, int32_t token) const {
  if (token == block.winner) return block.maximum;
  return -elementary::Log(block.least + Exponential(TokenBits(key_, token)));
}

double GumbelNoise::At(int32_t token) const {
  assert(token >= 0);
  return At(BlockAt(token / kBlock), token);
}

double GumbelAt(uint64_t seed, int64_t position, int32_t token) {
  return GumbelNoise(seed, position).At(token);
}

}  // namespace kakeya
