#include "format/gguf.h"

#include <cstring>
#include <limits>
#include <utility>

#include "format/gguf_reader.h"
#include "format/gguf_split.h"
#include "format/lfs_pointer.h"
#include "format/utf8.h"

namespace kakeya {
namespace {

constexpr const char* kValueNames[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                       "bool", "string", "array", "u64", "i64", "f64"};

}  // namespace

GgufFile::GgufFile(std::vector<MappedFile> parts, GgufHeader header)
    : parts_(std::move(parts)), header_(std::move(header)) {
  for (size_t i = 0; i < header_.tensors.size(); ++i) tensors_.emplace(header_.tensors[i].name, i);
  for (size_t i = 0; i < header_.metadata.size(); ++i) {
    metadata_.emplace(header_.metadata[i].first, i);
  }
}

namespace {

struct Part {
  MappedFile file;
  GgufHeader header;
};

Result<Part> OpenPart(const std::string& path) {
  KAKEYA_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  KAKEYA_RETURN_IF_ERROR(
      RefuseLfsPointer(path, {reinterpret_cast<const char*>(file.data()), file.size()}));
  Result<GgufHeader> header = ParseGgufHeader(file.bytes(), file.size());
  KAKEYA_RETURN_IF_ERROR(file.CheckIntact());  // a file that shrank is the reason for any error
  if (!header.ok()) return header.status().WithContext(path);
  return Part{std::move(file), *std::move(header)};
}

}  // namespace

Result<GgufFile> GgufFile::Open(const std::string& path) {
  KAKEYA_ASSIGN_OR_RETURN(Part part, OpenPart(path));
  const Result<uint64_t> count = GgufPartCount(part.header);
  if (!count.ok()) return count.status().WithContext(path);
  if (*count > 1) return OpenParts(path, *count);
  std::vector<MappedFile> files;
  files.push_back(std::move(part.file));
  return GgufFile(std::move(files), std::move(part.header));
}

Result<GgufFile> GgufFile::OpenParts(const std::string& path, uint64_t count) {
  const std::optional<GgufSplitName> name = ParseGgufSplitName(path);
  if (!name) {
    return Unsupported(
        "{}: is one of {} files (key 'split.count'), but not named as such (NAME-00001-of-{:05}"
        ".gguf): the others can't be found",
        path, count, count);
  }
  std::vector<std::string> paths;
  std::vector<MappedFile> files;
  std::vector<GgufHeader> headers;
  for (uint64_t i = 1; i <= name->count; ++i) {
    paths.push_back(name->Path(i));
    Result<Part> part = OpenPart(paths.back());
    if (part.status().code() == StatusCode::kNotFound) {
      return NotFound("{}: part {} of {} is missing: {}", path, i, name->count, paths.back());
    }
    if (!part.ok()) return part.status();
    files.push_back(std::move(part->file));
    headers.push_back(std::move(part->header));
  }
  KAKEYA_ASSIGN_OR_RETURN(GgufHeader header, JoinGgufParts(paths, std::move(headers)));
  return GgufFile(std::move(files), std::move(header));
}

Status GgufFile::CheckIntact() const {
  for (const MappedFile& part : parts_) KAKEYA_RETURN_IF_ERROR(part.CheckIntact());
  return OkStatus();
}

const GgufTensor* GgufFile::Find(std::string_view name) const {
  const auto it = tensors_.find(name);
  return it == tensors_.end() ? nullptr : &header_.tensors[it->second];
}

const GgufValue* GgufFile::Metadata(std::string_view key) const {
  const auto it = metadata_.find(key);
  return it == metadata_.end() ? nullptr : &header_.metadata[it->second].second;
}

Result<std::optional<uint64_t>> GgufFile::GetUnsigned(std::string_view key) const {
  const GgufValue* value = Metadata(key);
  if (value == nullptr) return std::optional<uint64_t>();
  if (const auto* number = std::get_if<uint64_t>(value)) return std::optional(*number);
  const auto* number = std::get_if<int64_t>(value);
  if (number != nullptr && *number >= 0) return std::optional(static_cast<uint64_t>(*number));
  if (number != nullptr) return Corrupt("{}: key '{}' is {}", file().path(), key, *number);
  return Corrupt("{}: key '{}' must be an integer", file().path(), key);
}

Result<std::optional<double>> GgufFile::GetNumber(std::string_view key) const {
  const GgufValue* value = Metadata(key);
  if (value == nullptr) return std::optional<double>();
  if (const auto* number = std::get_if<double>(value)) return std::optional(*number);
  if (const auto* number = std::get_if<uint64_t>(value)) {
    return std::optional(static_cast<double>(*number));
  }
  if (const auto* number = std::get_if<int64_t>(value)) {
    return std::optional(static_cast<double>(*number));
  }
  return Corrupt("{}: key '{}' must be a number", file().path(), key);
}

Result<std::optional<bool>> GgufFile::GetBool(std::string_view key) const {
  const GgufValue* value = Metadata(key);
  if (value == nullptr) return std::optional<bool>();
  if (const bool* flag = std::get_if<bool>(value)) return std::optional(*flag);
  return Corrupt("{}: key '{}' must be a bool", file().path(), key);
}

Result<std::optional<std::string>> GgufFile::GetString(std::string_view key) const {
  const GgufValue* value = Metadata(key);
  if (value == nullptr) return std::optional<std::string>();
  const auto* text = std::get_if<std::string>(value);
  if (text == nullptr) return Corrupt("{}: key '{}' must be a string", file().path(), key);
  if (FindInvalidUtf8(*text) != text->size()) {
    return Corrupt("{}: key '{}' isn't UTF-8", file().path(), key);
  }
  return std::optional(*text);
}

// The array behind a key; null where the key is missing.
Result<const GgufArray*> GgufFile::GetArray(std::string_view key) const {
  const GgufValue* value = Metadata(key);
  if (value == nullptr) return static_cast<const GgufArray*>(nullptr);
  if (const auto* array = std::get_if<GgufArray>(value)) return array;
  return Corrupt("{}: key '{}' must be an array", file().path(), key);
}

Result<std::optional<std::vector<std::string>>> GgufFile::GetStrings(std::string_view key) const {
  std::optional<std::vector<std::string>> out;
  KAKEYA_ASSIGN_OR_RETURN(const GgufArray* array, GetArray(key));
  if (array == nullptr) return out;
  if (array->element_type != gguf::kString) return WrongElements(key, *array, "strings");
  out.emplace();
  // The file may have changed since it was checked: so may the lengths.
  gguf::Reader reader(file().bytes().first(array->end), array->begin);
  for (uint64_t i = 0; i < array->count; ++i) {
    KAKEYA_ASSIGN_OR_RETURN(const std::string_view text,
                            reader.String("string", std::numeric_limits<uint64_t>::max()));
    if (FindInvalidUtf8(text) != text.size()) {
      return Corrupt("{}: key '{}' element {} isn't UTF-8", file().path(), key, i);
    }
    out->emplace_back(text);
  }
  return out;
}

Result<std::optional<std::vector<int64_t>>> GgufFile::GetIntegers(std::string_view key) const {
  std::optional<std::vector<int64_t>> out;
  KAKEYA_ASSIGN_OR_RETURN(const GgufArray* array, GetArray(key));
  if (array == nullptr) return out;
  out.emplace();
  const std::span<const std::byte> bytes =
      file().bytes().subspan(array->begin, array->end - array->begin);
  const auto read = [&]<typename T>(T) -> Status {
    for (uint64_t i = 0; i < array->count; ++i) {
      T value;
      std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
      if (!std::in_range<int64_t>(value)) {
        return Corrupt("{}: key '{}' element {} is {}", file().path(), key, i, value);
      }
      out->push_back(static_cast<int64_t>(value));
    }
    return OkStatus();
  };
  switch (array->element_type) {
    case gguf::kU8:
      KAKEYA_RETURN_IF_ERROR(read(uint8_t{}));
      return out;
    case gguf::kI8:
      KAKEYA_RETURN_IF_ERROR(read(int8_t{}));
      return out;
    case gguf::kU16:
      KAKEYA_RETURN_IF_ERROR(read(uint16_t{}));
      return out;
    case gguf::kI16:
      KAKEYA_RETURN_IF_ERROR(read(int16_t{}));
      return out;
    case gguf::kU32:
      KAKEYA_RETURN_IF_ERROR(read(uint32_t{}));
      return out;
    case gguf::kI32:
      KAKEYA_RETURN_IF_ERROR(read(int32_t{}));
      return out;
    case gguf::kU64:
      KAKEYA_RETURN_IF_ERROR(read(uint64_t{}));
      return out;
    case gguf::kI64:
      KAKEYA_RETURN_IF_ERROR(read(int64_t{}));
      return out;
    default:
      return WrongElements(key, *array, "integers");
  }
}

Result<std::optional<std::vector<float>>> GgufFile::GetFloats(std::string_view key) const {
  std::optional<std::vector<float>> out;
  KAKEYA_ASSIGN_OR_RETURN(const GgufArray* array, GetArray(key));
  if (array == nullptr) return out;
  if (array->element_type != gguf::kF32) return WrongElements(key, *array, "f32");
  out.emplace(array->count);
  if (array->count > 0) {
    std::memcpy(out->data(), file().data() + array->begin, array->end - array->begin);
  }
  return out;
}

Status GgufFile::WrongElements(std::string_view key, const GgufArray& array,
                               const char* wanted) const {
  return Corrupt("{}: key '{}' must hold {}, holds {}", file().path(), key, wanted,
                 kValueNames[array.element_type]);
}

}  // namespace kakeya
