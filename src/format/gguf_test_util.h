// GGUF files built byte by byte, for tests.
#ifndef KAKEYA_FORMAT_GGUF_TEST_UTIL_H_
#define KAKEYA_FORMAT_GGUF_TEST_UTIL_H_

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "format/test_files.h"

namespace kakeya::testing {

template <typename T>
std::string Bytes(T value) {
  std::string out(sizeof(T), '\0');
  std::memcpy(out.data(), &value, sizeof(T));
  return out;
}

inline std::string Text(const std::string& text) { return LittleEndian64(text.size()) + text; }

// A file made piece by piece; counts are those of the pieces unless overridden.
struct GgufBuilder {
  uint32_t version = 3;
  std::vector<std::string> pairs;
  std::vector<std::string> tensors;
  std::string data;
  uint64_t alignment = 32;

  // `type` is the file's number, `value` its bytes.
  void Pair(const std::string& key, uint32_t type, const std::string& value) {
    pairs.push_back(Text(key) + Bytes(type) + value);
  }
  void U32(const std::string& key, uint32_t value) { Pair(key, 4, Bytes(value)); }
  void F32(const std::string& key, float value) { Pair(key, 6, Bytes(value)); }
  void Bool(const std::string& key, bool value) { Pair(key, 7, Bytes(value)); }
  void String(const std::string& key, const std::string& value) { Pair(key, 8, Text(value)); }
  void Strings(const std::string& key, const std::vector<std::string>& values) {
    std::string bytes = Bytes(uint32_t{8}) + LittleEndian64(values.size());
    for (const std::string& value : values) bytes += Text(value);
    Pair(key, 9, bytes);
  }
  void Integers(const std::string& key, const std::vector<int32_t>& values) {
    std::string bytes = Bytes(uint32_t{5}) + LittleEndian64(values.size());
    for (const int32_t value : values) bytes += Bytes(value);
    Pair(key, 9, bytes);
  }
  // A tensor and its data, behind those that are there. `dims` innermost first.
  void Tensor(const std::string& name, const std::vector<uint64_t>& dims, uint32_t type,
              const std::string& bytes) {
    data.resize((data.size() + alignment - 1) / alignment * alignment);
    Tensor(name, dims, type, data.size());
    data += bytes;
  }
  // `dims` innermost first, as in the file.
  void Tensor(const std::string& name, const std::vector<uint64_t>& dims, uint32_t type,
              uint64_t offset) {
    std::string out = Text(name) + Bytes(static_cast<uint32_t>(dims.size()));
    for (const uint64_t n : dims) out += LittleEndian64(n);
    tensors.push_back(out + Bytes(type) + LittleEndian64(offset));
  }
  std::string Header(uint64_t tensor_count, uint64_t pair_count) const {
    std::string out =
        "GGUF" + Bytes(version) + LittleEndian64(tensor_count) + LittleEndian64(pair_count);
    for (const std::string& pair : pairs) out += pair;
    for (const std::string& tensor : tensors) out += tensor;
    return out;
  }
  std::string File() const {
    std::string out = Header(tensors.size(), pairs.size());
    out.resize((out.size() + alignment - 1) / alignment * alignment);
    return out + data;
  }
};

}  // namespace kakeya::testing

#endif  // KAKEYA_FORMAT_GGUF_TEST_UTIL_H_
