// libFuzzer: any bytes as a safetensors header, and what comes through is used.
//
// Checked beyond "no crash": an accepted header describes tensors that fill the file without gaps
// and overlaps, whose shapes multiply to their sizes.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>

#include "format/safetensors.h"
#include "model/finite.h"

namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

// Parses the bytes as a whole file and uses what they describe.
void ParseAndUse(std::span<const std::byte> bytes) {
  using namespace kakeya;
  const Result<SafetensorsHeader> header = ParseSafetensorsHeader(bytes, bytes.size());
  if (!header.ok()) {
    const std::string& message = header.status().message();
    Require(!message.empty() && message.size() < 1000 && message.find('\n') == message.npos);
    return;
  }
  uint64_t expected = header->entries.empty() ? bytes.size() : header->entries[0].begin;
  for (const SafetensorsEntry& entry : header->entries) {
    Require(entry.begin == expected && entry.end >= entry.begin && entry.end <= bytes.size());
    expected = entry.end;
    if (!entry.dtype) continue;
    const TensorView view{*entry.dtype, entry.shape, bytes.data() + entry.begin};
    Require(view.bytes() == entry.end - entry.begin);
    const int64_t bad = FindNonFinite(view, nullptr);
    Require(bad >= -1 && bad < view.elements());
  }
  Require(expected == bytes.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  ParseAndUse(bytes);
  // The same with the length that the header has: a mutation that changes it would otherwise end
  // every time at the first check.
  constexpr size_t kLengthBytes = 8;
  std::string file(reinterpret_cast<const char*>(data), size);
  const size_t last_brace = file.rfind('}');
  if (last_brace == file.npos || last_brace < kLengthBytes) return 0;
  const uint64_t length = last_brace + 1 - kLengthBytes;
  for (size_t i = 0; i < kLengthBytes; ++i) file[i] = static_cast<char>((length >> (8 * i)) & 0xff);
  ParseAndUse(std::as_bytes(std::span(file)));
  return 0;
}
