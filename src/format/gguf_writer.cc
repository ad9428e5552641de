#include "format/gguf_writer.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "format/gguf_reader.h"

namespace kakeya {
namespace {

constexpr uint32_t kVersion = 3;

template <typename T>
void Put(T value, std::string* out) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out->append(bytes, sizeof(T));
}

void PutString(std::string_view text, std::string* out) {
  Put(uint64_t{text.size()}, out);
  out->append(text);
}

template <typename T>
std::string Scalar(gguf::ValueType type, T value) {
  std::string out;
  Put(uint32_t{type}, &out);
  Put(value, &out);
  return out;
}

std::string ArrayStart(gguf::ValueType type, size_t count) {
  std::string out;
  Put(uint32_t{gguf::kArray}, &out);
  Put(uint32_t{type}, &out);
  Put(uint64_t{count}, &out);
  return out;
}

uint64_t Padded(uint64_t bytes, uint64_t alignment) {
  return (bytes + alignment - 1) / alignment * alignment;
}

std::string EncodeHeader(const GgufMetadata& metadata, const std::vector<GgufTensorSpec>& tensors,
                         uint64_t alignment) {
  std::string out = "GGUF";
  Put(kVersion, &out);
  Put(uint64_t{tensors.size()}, &out);
  Put(uint64_t{metadata.pairs().size()}, &out);
  for (const auto& [key, value] : metadata.pairs()) {
    PutString(key, &out);
    out += value;
  }
  uint64_t offset = 0;
  for (const GgufTensorSpec& tensor : tensors) {
    PutString(tensor.name, &out);
    Put(static_cast<uint32_t>(tensor.shape.size()), &out);
    for (size_t d = tensor.shape.size(); d-- > 0;) Put(tensor.shape[d], &out);
    Put(tensor.type->id, &out);
    Put(offset, &out);
    offset += Padded(tensor.bytes(), alignment);
  }
  return out;
}

}  // namespace

void GgufMetadata::SetRaw(std::string_view key, std::string_view value) {
  const auto known = std::find_if(pairs_.begin(), pairs_.end(),
                                  [&](const auto& pair) { return pair.first == key; });
  if (known != pairs_.end()) {
    known->second = value;
  } else {
    pairs_.emplace_back(key, value);
  }
}

void GgufMetadata::SetU32(std::string_view key, uint32_t value) {
  SetRaw(key, Scalar(gguf::kU32, value));
}

void GgufMetadata::SetF32(std::string_view key, float value) {
  SetRaw(key, Scalar(gguf::kF32, value));
}

void GgufMetadata::SetBool(std::string_view key, bool value) {
  SetRaw(key, Scalar(gguf::kBool, static_cast<uint8_t>(value)));
}

void GgufMetadata::SetString(std::string_view key, std::string_view value) {
  std::string out;
  Put(uint32_t{gguf::kString}, &out);
  PutString(value, &out);
  SetRaw(key, out);
}

void GgufMetadata::SetStrings(std::string_view key, std::span<const std::string> values) {
  std::string out = ArrayStart(gguf::kString, values.size());
  for (const std::string& value : values) PutString(value, &out);
  SetRaw(key, out);
}

void GgufMetadata::SetI32s(std::string_view key, std::span<const int32_t> values) {
  std::string out = ArrayStart(gguf::kI32, values.size());
  for (const int32_t value : values) Put(value, &out);
  SetRaw(key, out);
}

uint64_t GgufTensorSpec::elements() const {
  uint64_t elements = 1;
  for (const int64_t n : shape) elements *= static_cast<uint64_t>(n);
  return elements;
}

uint64_t GgufTensorSpec::bytes() const {
  return elements() / type->block_elements * type->block_bytes;
}

Result<GgufWriter> GgufWriter::Create(const std::string& path, const GgufMetadata& metadata,
                                      std::vector<GgufTensorSpec> tensors, uint64_t alignment) {
  KAKEYA_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  const std::string header = EncodeHeader(metadata, tensors, alignment);
  GgufWriter writer(std::move(file), std::move(tensors), alignment);
  KAKEYA_RETURN_IF_ERROR(writer.Append(std::as_bytes(std::span(header))));
  KAKEYA_RETURN_IF_ERROR(writer.Pad());
  return writer;
}

Status GgufWriter::Append(std::span<const std::byte> bytes) {
  KAKEYA_RETURN_IF_ERROR(file_.Write(bytes));
  bytes_written_ += bytes.size();
  return OkStatus();
}

Status GgufWriter::Pad() {
  const std::string zeros(Padded(bytes_written_, alignment_) - bytes_written_, '\0');
  return Append(std::as_bytes(std::span(zeros)));
}

Status GgufWriter::Write(std::span<const std::byte> bytes) {
  assert(tensor_ < tensors_.size());
  KAKEYA_RETURN_IF_ERROR(Append(bytes));
  in_tensor_ += bytes.size();
  assert(in_tensor_ <= tensors_[tensor_].bytes());
  if (in_tensor_ < tensors_[tensor_].bytes()) return OkStatus();
  ++tensor_;
  in_tensor_ = 0;
  return Pad();
}

Status GgufWriter::Commit() {
  assert(tensor_ == tensors_.size());
  return file_.Commit();
}

}  // namespace kakeya
