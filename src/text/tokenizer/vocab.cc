#include "text/tokenizer/vocab.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <functional>

#include "format/quote.h"
#include "text/tokenizer/unicode.h"

namespace kakeya {
namespace {

constexpr char32_t kAlphabetEnd = 0x100 + 68;

bool StandsForItself(int byte) {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

// Byte of each character of the alphabet; -1 for the characters between that aren't in it.
std::array<int16_t, kAlphabetEnd> MakeAlphabet() {
  std::array<int16_t, kAlphabetEnd> bytes;
  bytes.fill(-1);
  size_t next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    bytes[StandsForItself(byte) ? static_cast<size_t>(byte) : next++] = static_cast<int16_t>(byte);
  }
  assert(next == kAlphabetEnd);
  return bytes;
}

}  // namespace

int64_t LargestAllowedId(size_t token_count) {
  return std::min(kMaxTokenId, static_cast<int64_t>(4 * token_count + 1024));
}

std::optional<std::string> DecodeByteLevel(std::string_view spelling) {
  static const std::array<int16_t, kAlphabetEnd> kBytes = MakeAlphabet();
  std::string bytes;
  for (size_t i = 0; i < spelling.size();) {
    const DecodedChar c = DecodeCharAt(spelling, i);
    if (c.code >= kAlphabetEnd || kBytes[c.code] < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(kBytes[c.code]));
    i += c.length;
  }
  return bytes;
}

std::string EncodeByteLevel(std::string_view bytes) {
  static const std::array<int16_t, kAlphabetEnd> kBytes = MakeAlphabet();
  static const std::array<char32_t, 256> kCodes = [] {
    std::array<char32_t, 256> codes{};
    for (char32_t code = 0; code < kAlphabetEnd; ++code) {
      if (kBytes[code] >= 0) codes[static_cast<size_t>(kBytes[code])] = code;
    }
    return codes;
  }();
  std::string spelling;
  for (const char byte : bytes) AppendUtf8(kCodes[static_cast<uint8_t>(byte)], &spelling);
  return spelling;
}

void TokenTable::Reserve(size_t count, size_t end) {
  assert(end <= static_cast<size_t>(kMaxTokenId) + 1);
  if (end > tokens_.size()) tokens_.resize(end);
  if (2 * count > slots_.size()) Rehash(std::bit_ceil(2 * count));
}

void TokenTable::Rehash(size_t slots) {
  const std::vector<int32_t> old = std::move(slots_);
  slots_.assign(slots, -1);
  for (const int32_t id : old) {
    if (id >= 0) slots_[FindSlot(Bytes(id))] = id;
  }
}

size_t TokenTable::FindSlot(std::string_view bytes) const {
  const size_t mask = slots_.size() - 1;
  size_t slot = std::hash<std::string_view>()(bytes) & mask;
  while (slots_[slot] >= 0 && Bytes(slots_[slot]) != bytes) slot = (slot + 1) & mask;
  return slot;
}

Status TokenTable::Add(std::string_view spelling, int32_t id, bool in_model) {
  assert(id >= 0 && id <= kMaxTokenId);
  if (Has(id)) return Corrupt("token {} has id {}, which another token has", Quoted(spelling), id);
  if (static_cast<size_t>(id) >= tokens_.size()) tokens_.resize(static_cast<size_t>(id) + 1);
  const std::optional<std::string> decoded = DecodeByteLevel(spelling);
  const std::string_view bytes = decoded.has_value() ? std::string_view(*decoded) : spelling;
  tokens_[static_cast<size_t>(id)] = {static_cast<uint32_t>(bytes_.size()),
                                      static_cast<uint32_t>(bytes.size())};
  bytes_ += bytes;
  if (!in_model || !decoded.has_value()) {
    others_.emplace(spelling, id);
    return OkStatus();
  }
  if (2 * (used_slots_ + 1) > slots_.size()) Rehash(std::max<size_t>(2 * slots_.size(), 16));
  slots_[FindSlot(bytes)] = id;
  ++used_slots_;
  return OkStatus();
}

std::optional<int32_t> TokenTable::IdOfSpelling(std::string_view spelling) const {
  if (const auto bytes = DecodeByteLevel(spelling); bytes.has_value()) {
    if (const auto id = IdOfBytes(*bytes); id.has_value()) return id;
  }
  const auto it = others_.find(std::string(spelling));
  return it == others_.end() ? std::nullopt : std::optional<int32_t>(it->second);
}

std::optional<int32_t> TokenTable::IdOfBytes(std::string_view bytes) const {
  if (slots_.empty()) return std::nullopt;
  const int32_t id = slots_[FindSlot(bytes)];
  return id < 0 ? std::nullopt : std::optional<int32_t>(id);
}

std::string_view TokenTable::Bytes(int32_t id) const {
  if (!Has(id)) return {};
  const Token& token = tokens_[static_cast<size_t>(id)];
  return std::string_view(bytes_).substr(token.offset, token.length);
}

bool TokenTable::Has(int32_t id) const {
  return id >= 0 && id < end_id() && tokens_[static_cast<size_t>(id)].length != kNone;
}

}  // namespace kakeya
