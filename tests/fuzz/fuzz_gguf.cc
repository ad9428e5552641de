// libFuzzer: any bytes as a GGUF file, and what comes through is used.
//
// Checked beyond "no crash": an accepted header describes tensors inside the file that don't
// overlap and whose sizes follow from type and shape; arrays lie inside the file; as a part of a
// model it is taken or refused with one line.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "format/gguf.h"
#include "format/gguf_split.h"

namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace kakeya;
  const auto bytes = std::as_bytes(std::span(data, size));
  const Result<GgufHeader> header = ParseGgufHeader(bytes, size);
  if (!header.ok()) {
    const std::string& message = header.status().message();
    Require(!message.empty() && message.size() < 1000 && message.find('\n') == message.npos);
    return 0;
  }
  uint64_t last = 0;
  for (const GgufTensor& tensor : header->tensors) {
    Require(tensor.begin >= last && tensor.end > tensor.begin && tensor.end <= size);
    last = tensor.end;
    uint64_t elements = 1;
    for (const int64_t n : tensor.shape) elements *= static_cast<uint64_t>(n);
    Require(elements % tensor.type->block_elements == 0);
    Require(elements / tensor.type->block_elements * tensor.type->block_bytes ==
            tensor.end - tensor.begin);
  }
  for (const auto& [key, value] : header->metadata) {
    if (const auto* array = std::get_if<GgufArray>(&value)) {
      Require(array->begin <= array->end && array->end <= size);
      Require(array->count <= size);
    }
  }
  for (const size_t copies : {1, 2}) {
    const std::vector<std::string> paths(copies, "part");
    const Result<GgufHeader> joined =
        JoinGgufParts(paths, std::vector<GgufHeader>(copies, *header));
    const std::string& message = joined.status().message();
    Require(message.size() < 1000 && message.find('\n') == message.npos);
    if (joined.ok()) Require(joined->tensors.size() == copies * header->tensors.size());
  }
  return 0;
}
