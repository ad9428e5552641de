#include <algorithm>
#include <bit>
#include <cassert>
#include <limits>
#include <new>
#include <unordered_set>

#include "base/checked.h"
#include "format/gguf.h"
#include "format/gguf_reader.h"
#include "format/quote.h"

namespace kakeya {
namespace {

constexpr uint64_t kMaxAlignment = uint64_t{1} << 20;
constexpr uint32_t kMaxDimensions = 4;
constexpr uint64_t kMaxNameBytes = 64;
constexpr uint64_t kMaxKeyBytes = 65535;
// The least that one pair and one tensor take: a count beyond what is left is a lie.
constexpr uint64_t kMinPairBytes = 8 + 4 + 1;
constexpr uint64_t kMinTensorBytes = 8 + 4 + 8 + 4 + 8;

// By value type; 0 where the length varies.
constexpr uint64_t kValueBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
// ggml's tensor types, as of ggml.h; those that were removed are not here.
constexpr GgufTensorType kTensorTypes[] = {
    {0, "F32", 1, 4},         {1, "F16", 1, 2},         {2, "Q4_0", 32, 18},
    {3, "Q4_1", 32, 20},      {6, "Q5_0", 32, 22},      {7, "Q5_1", 32, 24},
    {8, "Q8_0", 32, 34},      {9, "Q8_1", 32, 36},      {10, "Q2_K", 256, 84},
    {11, "Q3_K", 256, 110},   {12, "Q4_K", 256, 144},   {13, "Q5_K", 256, 176},
    {14, "Q6_K", 256, 210},   {15, "Q8_K", 256, 292},   {16, "IQ2_XXS", 256, 66},
    {17, "IQ2_XS", 256, 74},  {18, "IQ3_XXS", 256, 98}, {19, "IQ1_S", 256, 50},
    {20, "IQ4_NL", 32, 18},   {21, "IQ3_S", 256, 110},  {22, "IQ2_S", 256, 82},
    {23, "IQ4_XS", 256, 136}, {24, "I8", 1, 1},         {25, "I16", 1, 2},
    {26, "I32", 1, 4},        {27, "I64", 1, 8},        {28, "F64", 1, 8},
    {29, "IQ1_M", 256, 56},   {30, "BF16", 1, 2},       {34, "TQ1_0", 256, 54},
    {35, "TQ2_0", 256, 66},   {39, "MXFP4", 32, 17},
};

template <typename T>
Result<GgufValue> ReadUnsigned(gguf::Reader* reader) {
  KAKEYA_ASSIGN_OR_RETURN(const T value, reader->Number<T>("value"));
  return GgufValue(uint64_t{value});
}

template <typename T>
Result<GgufValue> ReadSigned(gguf::Reader* reader) {
  KAKEYA_ASSIGN_OR_RETURN(const T value, reader->Number<T>("value"));
  return GgufValue(int64_t{value});
}

Result<GgufValue> ReadArray(gguf::Reader* reader) {
  GgufArray array;
  KAKEYA_ASSIGN_OR_RETURN(array.element_type, reader->Number<uint32_t>("array type"));
  KAKEYA_ASSIGN_OR_RETURN(array.count, reader->Number<uint64_t>("array length"));
  array.begin = reader->at();
  if (array.element_type >= std::size(kValueBytes)) {
    return Corrupt("unknown array type {} at offset {}", array.element_type, array.begin - 12);
  }
  if (array.element_type == gguf::kArray) {
    return Unsupported("an array of arrays at offset {}", array.begin - 12);
  }
  if (array.element_type == gguf::kString) {
    if (array.count > reader->left() / sizeof(uint64_t)) {
      return Corrupt("{} strings at offset {} go beyond the end of the file", array.count,
                     array.begin);
    }
    for (uint64_t i = 0; i < array.count; ++i) {
      KAKEYA_RETURN_IF_ERROR(
          reader->String("string", std::numeric_limits<uint64_t>::max()).status());
    }
  } else {
    const auto length = CheckedMul(array.count, kValueBytes[array.element_type]);
    if (!length) return Corrupt("{} elements at offset {} overflow", array.count, array.begin);
    KAKEYA_RETURN_IF_ERROR(reader->Skip(*length, "array"));
  }
  array.end = reader->at();
  return GgufValue(array);
}

Result<GgufValue> ReadValue(gguf::Reader* reader) {
  const uint64_t begin = reader->at();
  KAKEYA_ASSIGN_OR_RETURN(const auto type, reader->Number<uint32_t>("value type"));
  switch (type) {
    case gguf::kU8:
      return ReadUnsigned<uint8_t>(reader);
    case gguf::kI8:
      return ReadSigned<int8_t>(reader);
    case gguf::kU16:
      return ReadUnsigned<uint16_t>(reader);
    case gguf::kI16:
      return ReadSigned<int16_t>(reader);
    case gguf::kU32:
      return ReadUnsigned<uint32_t>(reader);
    case gguf::kI32:
      return ReadSigned<int32_t>(reader);
    case gguf::kU64:
      return ReadUnsigned<uint64_t>(reader);
    case gguf::kI64:
      return ReadSigned<int64_t>(reader);
    case gguf::kF32: {
      KAKEYA_ASSIGN_OR_RETURN(const auto value, reader->Number<float>("value"));
      return GgufValue(double{value});
    }
    case gguf::kF64: {
      KAKEYA_ASSIGN_OR_RETURN(const auto value, reader->Number<double>("value"));
      return GgufValue(value);
    }
    case gguf::kBool: {
      KAKEYA_ASSIGN_OR_RETURN(const auto value, reader->Number<uint8_t>("value"));
      if (value > 1) return Corrupt("a bool of {} at offset {}", value, begin + 4);
      return GgufValue(value == 1);
    }
    case gguf::kString: {
      KAKEYA_ASSIGN_OR_RETURN(const std::string_view value,
                              reader->String("value", std::numeric_limits<uint64_t>::max()));
      return GgufValue(std::string(value));
    }
    case gguf::kArray:
      return ReadArray(reader);
    default:
      return Corrupt("unknown value type {} at offset {}", type, begin);
  }
}

Status ReadMetadata(uint64_t pairs, gguf::Reader* reader, GgufHeader* header) {
  std::unordered_set<std::string> seen;
  for (uint64_t i = 0; i < pairs; ++i) {
    const uint64_t begin = reader->at();
    KAKEYA_ASSIGN_OR_RETURN(const std::string_view key, reader->String("key", kMaxKeyBytes));
    if (!seen.emplace(key).second) {
      return Corrupt("key {} at offset {} comes twice", Quoted(key), begin);
    }
    const uint64_t value_begin = reader->at();
    Result<GgufValue> value = ReadValue(reader);
    if (!value.ok()) return value.status().WithContext("key " + Quoted(key));
    header->metadata.emplace_back(key, *std::move(value));
    header->value_extents.emplace_back(value_begin, reader->at());
  }
  return OkStatus();
}

Result<uint64_t> ReadAlignment(const GgufHeader& header) {
  for (const auto& [key, value] : header.metadata) {
    if (key != kGgufAlignmentKey) continue;
    const auto* alignment = std::get_if<uint64_t>(&value);
    if (alignment == nullptr) return Corrupt("key '{}' must be an unsigned integer", key);
    if (!std::has_single_bit(*alignment) || *alignment > kMaxAlignment) {
      return Corrupt("key '{}' is {}, not a power of two up to {}", key, *alignment, kMaxAlignment);
    }
    return *alignment;
  }
  return uint64_t{kGgufDefaultAlignment};
}

// Bytes of a tensor, or why it has no such number.
Result<uint64_t> SizeInBytes(const GgufTensor& tensor) {
  const auto inner = static_cast<uint64_t>(tensor.shape.back());
  if (inner % tensor.type->block_elements != 0) {
    return Corrupt("rows of {} elements don't fill the blocks of {} that {} has", inner,
                   tensor.type->block_elements, tensor.type->name);
  }
  uint64_t bytes = inner / tensor.type->block_elements;
  uint64_t elements = inner;
  const auto grow = [](uint64_t factor, uint64_t* product) {
    const auto next = CheckedMul(*product, factor);
    // Half the range, so that elements and bytes fit signed types too.
    const bool fits = next && *next <= std::numeric_limits<uint64_t>::max() / 2;
    if (fits) *product = *next;
    return fits;
  };
  bool fits = grow(tensor.type->block_bytes, &bytes) && grow(1, &elements);
  for (size_t d = 0; d + 1 < tensor.shape.size(); ++d) {
    const auto n = static_cast<uint64_t>(tensor.shape[d]);
    fits = fits && grow(n, &bytes) && grow(n, &elements);
  }
  if (!fits) return Corrupt("a shape too large to exist");
  return bytes;
}

// One entry of the tensor list; its offset is left relative to the first data byte, `end` holds the
// size.
Result<GgufTensor> ReadTensor(gguf::Reader* reader) {
  GgufTensor tensor;
  const uint64_t begin = reader->at();
  KAKEYA_ASSIGN_OR_RETURN(const std::string_view name,
                          reader->String("tensor name", kMaxNameBytes));
  tensor.name = name;
  const auto context = [&](const Status& status) {
    return status.WithContext(fmt::format("tensor {} at offset {}", Quoted(tensor.name), begin));
  };
  const Result<uint32_t> dimensions = reader->Number<uint32_t>("number of dimensions");
  if (!dimensions.ok()) return context(dimensions.status());
  if (*dimensions < 1 || *dimensions > kMaxDimensions) {
    return context(Corrupt("{} dimensions, 1 to {} are possible", *dimensions, kMaxDimensions));
  }
  for (uint32_t d = 0; d < *dimensions; ++d) {
    const Result<uint64_t> n = reader->Number<uint64_t>("dimension");
    if (!n.ok()) return context(n.status());
    if (*n < 1 || *n > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return context(Corrupt("dimension {} is {}", d, static_cast<int64_t>(*n)));
    }
    tensor.shape.insert(tensor.shape.begin(), static_cast<int64_t>(*n));
  }
  const Result<uint32_t> type = reader->Number<uint32_t>("tensor type");
  if (!type.ok()) return context(type.status());
  const auto* known = std::find_if(std::begin(kTensorTypes), std::end(kTensorTypes),
                                   [&](const GgufTensorType& t) { return t.id == *type; });
  if (known == std::end(kTensorTypes)) return context(Corrupt("unknown tensor type {}", *type));
  tensor.type = known;
  const Result<uint64_t> offset = reader->Number<uint64_t>("offset");
  if (!offset.ok()) return context(offset.status());
  tensor.begin = *offset;
  Result<uint64_t> size = SizeInBytes(tensor);
  if (!size.ok()) return context(size.status());
  tensor.end = *size;
  return tensor;
}

// Tensors lie one after the other, each from a multiple of the alignment on. Turns their offsets
// into offsets in the file.
Status PlaceTensors(uint64_t data_begin, uint64_t file_size, uint64_t alignment,
                    std::vector<GgufTensor>* tensors) {
  std::stable_sort(tensors->begin(), tensors->end(),
                   [](const GgufTensor& a, const GgufTensor& b) { return a.begin < b.begin; });
  uint64_t expected = 0;
  for (GgufTensor& tensor : *tensors) {
    const uint64_t size = tensor.end;
    if (tensor.begin != expected) {
      return Corrupt("tensor {}: data begins at {} instead of {}, where the one before ends ({})",
                     Quoted(tensor.name), tensor.begin, expected,
                     tensor.begin % alignment != 0 ? "unaligned"
                     : tensor.begin < expected     ? "overlapping"
                                                   : "leaving a hole");
    }
    const uint64_t room = file_size > data_begin ? file_size - data_begin : 0;
    if (tensor.begin > room || size > room - tensor.begin) {
      return Corrupt("tensor {}: data of {} bytes at {} goes beyond the end of the file at {}",
                     Quoted(tensor.name), size, data_begin + tensor.begin, file_size);
    }
    const uint64_t end = tensor.begin + size;  // at most `room`
    const auto padded = CheckedAdd(end, alignment - 1);
    if (!padded) return Corrupt("tensor {}: its end overflows", Quoted(tensor.name));
    expected = *padded / alignment * alignment;
    tensor.begin += data_begin;
    tensor.end = data_begin + end;
  }
  return OkStatus();
}

Status CheckStart(gguf::Reader* reader, uint32_t* version) {
  KAKEYA_ASSIGN_OR_RETURN(const auto magic, reader->Number<uint32_t>("magic"));
  if (magic != 0x46554747) return Corrupt("no GGUF file: it starts with {:#010x}", magic);
  KAKEYA_ASSIGN_OR_RETURN(*version, reader->Number<uint32_t>("version"));
  if (*version == 2 || *version == 3) return OkStatus();
  if ((*version & 0xffff) == 0 && *version != 0) {
    return Unsupported("GGUF version {:#x}: a big-endian file?", *version);
  }
  return Unsupported("GGUF version {}; this engine reads 2 and 3", *version);
}

}  // namespace

const GgufTensorType& GgufTypeNamed(std::string_view name) {
  const auto* type = std::find_if(std::begin(kTensorTypes), std::end(kTensorTypes),
                                  [&](const GgufTensorType& t) { return t.name == name; });
  assert(type != std::end(kTensorTypes));
  return *type;
}

Result<GgufHeader> ParseGgufHeader(std::span<const std::byte> bytes, uint64_t file_size) try {
  gguf::Reader reader(bytes, 0);
  GgufHeader header;
  KAKEYA_RETURN_IF_ERROR(CheckStart(&reader, &header.version));
  KAKEYA_ASSIGN_OR_RETURN(const auto tensors, reader.Number<uint64_t>("number of tensors"));
  KAKEYA_ASSIGN_OR_RETURN(const auto pairs, reader.Number<uint64_t>("number of keys"));
  if (tensors > reader.left() / kMinTensorBytes) {
    return Corrupt("{} tensors (offset 8) don't fit a file of {} bytes", tensors, file_size);
  }
  if (pairs > reader.left() / kMinPairBytes) {
    return Corrupt("{} keys (offset 16) don't fit a file of {} bytes", pairs, file_size);
  }
  KAKEYA_RETURN_IF_ERROR(ReadMetadata(pairs, &reader, &header));
  KAKEYA_ASSIGN_OR_RETURN(const uint64_t alignment, ReadAlignment(header));
  std::unordered_set<std::string> names;
  for (uint64_t i = 0; i < tensors; ++i) {
    KAKEYA_ASSIGN_OR_RETURN(GgufTensor tensor, ReadTensor(&reader));
    if (!names.insert(tensor.name).second) {
      return Corrupt("tensor {} comes twice", Quoted(tensor.name));
    }
    header.tensors.push_back(std::move(tensor));
  }
  const auto padded = CheckedAdd(reader.at(), alignment - 1);
  if (!padded) return Corrupt("the header's end overflows");
  KAKEYA_RETURN_IF_ERROR(
      PlaceTensors(*padded / alignment * alignment, file_size, alignment, &header.tensors));
  return header;
} catch (const std::bad_alloc&) {
  return ResourceExhausted("not enough memory for the header");
}

}  // namespace kakeya
