#include "format/safetensors.h"

#include <algorithm>
#include <cassert>
#include <limits>
#include <new>

#include "base/checked.h"
#include "format/json.h"
#include "format/lfs_pointer.h"
#include "format/quote.h"
#include "format/utf8.h"
#include "format/write_file.h"

namespace kakeya {
namespace {

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the reference implementation's limit
constexpr size_t kMaxShapeDimensions = 8;
constexpr char kMetadataKey[] = "__metadata__";

struct ElementType {
  std::string_view name;
  uint64_t bits;
  std::optional<DType> dtype;
};
constexpr ElementType kElementTypes[] = {
    {"F32", 32, DType::kF32},         {"F16", 16, DType::kF16},
    {"BF16", 16, DType::kBF16},       {"F64", 64, std::nullopt},
    {"F8_E4M3", 8, std::nullopt},     {"F8_E5M2", 8, std::nullopt},
    {"F8_E8M0", 8, std::nullopt},     {"F8_E4M3FNUZ", 8, std::nullopt},
    {"F8_E5M2FNUZ", 8, std::nullopt}, {"F6_E2M3", 6, std::nullopt},
    {"F6_E3M2", 6, std::nullopt},     {"F4", 4, std::nullopt},
    {"BOOL", 8, std::nullopt},        {"U8", 8, std::nullopt},
    {"I8", 8, std::nullopt},          {"U16", 16, std::nullopt},
    {"I16", 16, std::nullopt},        {"U32", 32, std::nullopt},
    {"I32", 32, std::nullopt},        {"U64", 64, std::nullopt},
    {"I64", 64, std::nullopt},        {"C64", 64, std::nullopt},
};

// REQUIRES: not a block type; safetensors has none.
const char* FileNameOf(DType type) {
  assert(!IsBlockType(type));
  return type == DType::kF32 ? "F32" : type == DType::kF16 ? "F16" : "BF16";
}

uint64_t ReadLittleEndian64(std::span<const std::byte> bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) {
    value |= static_cast<uint64_t>(std::to_integer<uint8_t>(bytes[i])) << (8 * i);
  }
  return value;
}

// A whole number that is not negative; anything else (3.0 too) is nothing.
std::optional<uint64_t> AsUnsigned(const Json& value) {
  if (!value.is_number_unsigned()) return std::nullopt;
  return value.get<uint64_t>();
}

Result<std::vector<int64_t>> ReadShape(const Json& value) {
  if (value.size() > kMaxShapeDimensions) {
    return Corrupt("{} dimensions, at most {} are possible", value.size(), kMaxShapeDimensions);
  }
  std::vector<int64_t> shape;
  for (const Json& element : value) {
    const std::optional<uint64_t> n = AsUnsigned(element);
    if (!n || *n > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return Corrupt("shape holds {}, not a size", Printable(element.dump(), 40));
    }
    shape.push_back(static_cast<int64_t>(*n));
  }
  return shape;
}

// Bytes of a tensor, or why it has no such number.
Result<uint64_t> SizeInBytes(const std::vector<int64_t>& shape, const ElementType& type) {
  uint64_t bits = type.bits;
  for (int64_t n : shape) {
    const auto product = CheckedMul(bits, static_cast<uint64_t>(n));
    // Half the range, so that the number of elements fits the signed type of a shape too.
    if (!product || *product > std::numeric_limits<uint64_t>::max() / 2) {
      return Corrupt("shape {} is too large to exist", ShapeString(shape));
    }
    bits = *product;
  }
  if (bits % 8 != 0) {
    return Corrupt("{} elements of type {} don't fill whole bytes", ShapeString(shape), type.name);
  }
  return bits / 8;
}

// One member of the header; offsets are left relative to the first data byte.
Result<SafetensorsEntry> ReadEntry(const Json& value) {
  SafetensorsEntry entry;
  KAKEYA_ASSIGN_OR_RETURN(entry.type, GetString(value, "dtype"));
  const auto* type = std::find_if(std::begin(kElementTypes), std::end(kElementTypes),
                                  [&](const ElementType& t) { return t.name == entry.type; });
  if (type == std::end(kElementTypes)) return Corrupt("unknown dtype {}", Quoted(entry.type, 40));
  entry.dtype = type->dtype;
  KAKEYA_ASSIGN_OR_RETURN(const Json* shape, FindArray(value, "shape"));
  if (shape == nullptr) return Corrupt("key 'shape' is missing");
  KAKEYA_ASSIGN_OR_RETURN(entry.shape, ReadShape(*shape));
  KAKEYA_ASSIGN_OR_RETURN(const Json* offsets, FindArray(value, "data_offsets"));
  if (offsets == nullptr) return Corrupt("key 'data_offsets' is missing");
  const auto begin = offsets->size() == 2 ? AsUnsigned((*offsets)[0]) : std::nullopt;
  const auto end = offsets->size() == 2 ? AsUnsigned((*offsets)[1]) : std::nullopt;
  if (!begin || !end) return Corrupt("data_offsets must be two offsets");
  if (value.size() != 3) return Corrupt("has keys besides dtype, shape and data_offsets");
  entry.begin = *begin;
  entry.end = *end;
  if (entry.begin > entry.end) {
    return Corrupt("data_offsets [{}, {}] run backwards", entry.begin, entry.end);
  }
  KAKEYA_ASSIGN_OR_RETURN(const uint64_t size, SizeInBytes(entry.shape, *type));
  if (entry.end - entry.begin != size) {
    return Corrupt("data_offsets [{}, {}] are {} bytes, {} {} needs {}", entry.begin, entry.end,
                   entry.end - entry.begin, entry.type, ShapeString(entry.shape), size);
  }
  return entry;
}

Status ReadMetadata(const Json& value, SafetensorsHeader* header) {
  if (!value.is_object()) return Corrupt("{} must be an object", kMetadataKey);
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string()) {
      return Corrupt("{} key {} must be a string, is {}", kMetadataKey, Quoted(key),
                     text.type_name());
    }
    header->metadata.emplace_back(key, text.get_ref<const std::string&>());
  }
  return OkStatus();
}

// Tensors fill [0, data_size) one after the other. Turns their offsets into offsets in the file.
Status PlaceEntries(uint64_t data_begin, uint64_t data_size,
                    std::vector<SafetensorsEntry>* entries) {
  std::stable_sort(entries->begin(), entries->end(), [](const auto& a, const auto& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  uint64_t expected = 0;
  for (SafetensorsEntry& entry : *entries) {
    if (entry.begin != expected) {
      return Corrupt("tensor {}: data begins at {}, {} the end of the one before at {}",
                     Quoted(entry.name), entry.begin,
                     entry.begin > expected ? "leaving a hole after" : "overlapping", expected);
    }
    if (entry.end > data_size) {
      return Corrupt("tensor {}: data ends at {}, the file's at {}", Quoted(entry.name), entry.end,
                     data_size);
    }
    expected = entry.end;
    entry.begin += data_begin;
    entry.end += data_begin;
  }
  if (expected != data_size) {
    return Corrupt("{} bytes at offset {} belong to no tensor", data_size - expected,
                   data_begin + expected);
  }
  return OkStatus();
}

}  // namespace

Result<SafetensorsHeader> ParseSafetensorsHeader(std::span<const std::byte> bytes,
                                                 uint64_t file_size) try {
  if (file_size < kLengthBytes || bytes.size() < kLengthBytes) {
    return Corrupt("{} bytes are too few for a safetensors file", file_size);
  }
  const uint64_t length = ReadLittleEndian64(bytes);
  if (length > kMaxHeaderBytes) {
    return Corrupt("header length {} at offset 0 is above the limit of {}: not a safetensors file?",
                   length, kMaxHeaderBytes);
  }
  if (length > bytes.size() - kLengthBytes) {
    return Corrupt("header length {} at offset 0 goes beyond the end of the file at {}", length,
                   file_size);
  }
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + kLengthBytes, length);
  if (text.empty() || text.front() != '{') {
    return Corrupt("the header at offset {} doesn't start with '{{'", kLengthBytes);
  }
  JsonLimits limits;
  limits.max_bytes = kMaxHeaderBytes;
  limits.max_depth = 4;
  limits.max_values = length / 4 + 16;  // no honest header has more: memory stays in proportion
  Result<Json> json = ParseJson(text, limits);
  if (!json.ok())
    return json.status().WithContext(fmt::format("header at offset {}", kLengthBytes));

  SafetensorsHeader header;
  for (const auto& [name, value] : json->items()) {
    if (name == kMetadataKey) {
      KAKEYA_RETURN_IF_ERROR(ReadMetadata(value, &header));
      continue;
    }
    Result<SafetensorsEntry> entry = ReadEntry(value);
    if (!entry.ok()) return entry.status().WithContext("tensor " + Quoted(name));
    entry->name = name;
    header.entries.push_back(*std::move(entry));
  }
  const uint64_t data_begin = kLengthBytes + length;
  KAKEYA_RETURN_IF_ERROR(PlaceEntries(data_begin, file_size - data_begin, &header.entries));
  return header;
} catch (const std::bad_alloc&) {
  return ResourceExhausted("not enough memory for the header");
}

SafetensorsFile::SafetensorsFile(MappedFile file, SafetensorsHeader header)
    : file_(std::move(file)), header_(std::move(header)) {
  index_.reserve(header_.entries.size());
  for (size_t i = 0; i < header_.entries.size(); ++i) index_.emplace(header_.entries[i].name, i);
}

Result<SafetensorsFile> SafetensorsFile::Open(const std::string& path) {
  KAKEYA_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  KAKEYA_RETURN_IF_ERROR(
      RefuseLfsPointer(path, {reinterpret_cast<const char*>(file.data()), file.size()}));
  Result<SafetensorsHeader> header = ParseSafetensorsHeader(file.bytes(), file.size());
  KAKEYA_RETURN_IF_ERROR(file.CheckIntact());  // a file that shrank is the reason for any error
  if (!header.ok()) return header.status().WithContext(path);
  return SafetensorsFile(std::move(file), *std::move(header));
}

const SafetensorsEntry* SafetensorsFile::Find(std::string_view name) const {
  const auto it = index_.find(name);
  return it == index_.end() ? nullptr : &header_.entries[it->second];
}

Result<TensorView> SafetensorsFile::View(const SafetensorsEntry& entry) const {
  if (!entry.dtype) {
    return Unsupported("{}: tensor {} has type {}; this engine reads F32, F16 and BF16",
                       file_.path(), Quoted(entry.name), entry.type);
  }
  return TensorView{*entry.dtype, entry.shape, file_.data() + entry.begin};
}

std::string SafetensorsPreamble(std::span<const std::pair<std::string, TensorView>> tensors) {
  Json header = Json::object();
  uint64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    assert(name != kMetadataKey && FindInvalidUtf8(name) == name.size() && !header.contains(name));
    const uint64_t end = offset + tensor.bytes();
    header[name] = {{"dtype", FileNameOf(tensor.dtype)},
                    {"shape", tensor.shape},
                    {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.append((kLengthBytes - text.size() % kLengthBytes) % kLengthBytes, ' ');  // aligns the data
  std::string length;
  for (size_t i = 0; i < kLengthBytes; ++i) {
    length += static_cast<char>((text.size() >> (8 * i)) & 0xff);
  }
  return length + text;
}

Status WriteSafetensors(const std::string& path,
                        std::span<const std::pair<std::string, TensorView>> tensors) {
  const std::string preamble = SafetensorsPreamble(tensors);
  KAKEYA_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  KAKEYA_RETURN_IF_ERROR(file.Write(std::as_bytes(std::span(preamble))));
  for (const auto& [name, tensor] : tensors) {
    KAKEYA_RETURN_IF_ERROR(
        file.Write({static_cast<const std::byte*>(tensor.data), tensor.bytes()}));
  }
  return file.Commit();
}

}  // namespace kakeya
