#include "text/tokenizer/normalizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <utility>

#include "format/quote.h"
#include "text/tokenizer/pretokenizer.h"
#include "text/tokenizer/unicode.h"

namespace kakeya {
namespace {

constexpr size_t kMaxNormalizerSteps = 32;
constexpr size_t kMaxContentBytes = 1024;
// A normal form makes a text eleven times as long at most.
constexpr size_t kMaxGrowth = 64;
constexpr size_t kMaxGrowthOfShortTexts = 4096;  // bytes, for what Prepend puts before one letter

Status CheckSize(size_t size, size_t max_bytes) {
  if (size <= max_bytes) return OkStatus();
  return ResourceExhausted("the normalizer makes the text more than {} times as long", kMaxGrowth);
}

Result<std::string> Content(const Json& spec, const char* key) {
  KAKEYA_ASSIGN_OR_RETURN(std::string content, GetString(spec, key));
  if (content.size() > kMaxContentBytes) {
    return Unsupported("key '{}' has {} bytes, more than {}", key, content.size(),
                       kMaxContentBytes);
  }
  return content;
}

// The lower case of one character by itself.
void AppendLower(char32_t code, std::string* out) {
  if (code == 0x130) {  // the only one with a lower case of two characters
    out->append("i\u0307");
  } else {
    const auto lower = utf8proc_tolower(static_cast<utf8proc_int32_t>(code));
    AppendUtf8(static_cast<char32_t>(lower), out);
  }
}

// An edit that moves no byte is none: what is trusted stays so character by character.
void Lowercase(std::string_view text, std::string* out, std::vector<TextEdit>* edits) {
  for (size_t i = 0; i < text.size();) {
    const DecodedChar c = DecodeCharAt(text, i);
    const size_t begin = out->size();
    AppendLower(c.code, out);
    if (out->size() != begin + c.length) edits->push_back({i, i + c.length, begin, out->size()});
    i += c.length;
  }
}

void Strip(std::string_view text, bool left, bool right, std::string* out,
           std::vector<TextEdit>* edits) {
  size_t begin = 0;
  size_t end = text.size();
  while (left && begin < end && IsWhiteSpace(DecodeCharAt(text, begin).code)) {
    begin += DecodeCharAt(text, begin).length;
  }
  while (right && end > begin && IsWhiteSpace(DecodeCharBefore(text, end).code)) {
    end -= DecodeCharBefore(text, end).length;
  }
  *out = text.substr(begin, end - begin);
  if (begin > 0) edits->push_back({0, begin, 0, 0});
  if (end < text.size()) edits->push_back({end, text.size(), out->size(), out->size()});
}

bool IsMark(char32_t code) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(code));
  return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
         category == UTF8PROC_CATEGORY_ME;
}

void StripAccents(std::string_view text, std::string* out, std::vector<TextEdit>* edits) {
  for (size_t i = 0; i < text.size();) {
    const DecodedChar c = DecodeCharAt(text, i);
    if (!IsMark(c.code)) {
      out->append(text.substr(i, c.length));
    } else if (!edits->empty() && edits->back().end == i) {
      edits->back().end += c.length;
    } else {
      edits->push_back({i, i + c.length, out->size(), out->size()});
    }
    i += c.length;
  }
}

// What is put in front is trusted where the first character is.
void Prepend(std::string_view text, const std::string& content, std::string* out,
             std::vector<TextEdit>* edits) {
  if (text.empty()) return;
  out->append(content).append(text);
  const size_t first = DecodeCharAt(text, 0).length;
  edits->push_back({0, first, 0, content.size() + first});
}

}  // namespace

Normalizer Normalizer::Nfc() {
  Normalizer result;
  result.steps_.emplace_back();
  return result;
}

bool Normalizer::IsNfc() const {
  return !empty() && std::all_of(steps_.begin(), steps_.end(), [](const Step& step) {
    return step.kind == Step::Kind::kForm && step.form == NormalForm::kNfc;
  });
}

bool Normalizer::LeavesAlone(std::string_view text) const {
  return empty() || (IsNfc() && IsCertainlyNfc(text));
}

Result<Normalizer> Normalizer::Parse(const Json& spec) {
  Normalizer result;
  KAKEYA_RETURN_IF_ERROR(result.ParseInto(spec, "normalizer"));
  return result;
}

Status Normalizer::ParseInto(const Json& spec, const std::string& where) {
  Result<std::string> type = GetString(spec, "type");
  if (!type.ok()) return type.status().WithContext(where);
  if (*type != "Sequence") {
    if (steps_.size() == kMaxNormalizerSteps)
      return Unsupported("{}: more than {} steps", where, kMaxNormalizerSteps);
    Result<Step> step = ParseStep(spec, *type);
    if (!step.ok()) return step.status().WithContext(where);
    steps_.push_back(*std::move(step));
    return OkStatus();
  }
  Result<const Json*> parts = FindArray(spec, "normalizers");
  if (!parts.ok()) return parts.status().WithContext(where);
  if (*parts == nullptr) return Corrupt("{}: key 'normalizers' is missing", where);
  for (size_t i = 0; i < (*parts)->size(); ++i) {
    KAKEYA_RETURN_IF_ERROR(ParseInto((**parts)[i], fmt::format("{}[{}]", where, i)));
  }
  return OkStatus();
}

Result<Normalizer::Step> Normalizer::ParseStep(const Json& spec, const std::string& type) {
  using Kind = Step::Kind;
  if (type == "NFC") return Step{.form = NormalForm::kNfc};
  if (type == "NFD") return Step{.form = NormalForm::kNfd};
  if (type == "NFKC") return Step{.form = NormalForm::kNfkc};
  if (type == "NFKD") return Step{.form = NormalForm::kNfkd};
  if (type == "Lowercase") return Step{.kind = Kind::kLowercase};
  if (type == "StripAccents") return Step{.kind = Kind::kStripAccents};
  Step step;
  if (type == "Strip") {
    step.kind = Kind::kStrip;
    KAKEYA_ASSIGN_OR_RETURN(const auto left, FindBool(spec, "strip_left"));
    KAKEYA_ASSIGN_OR_RETURN(const auto right, FindBool(spec, "strip_right"));
    if (!left || !right) return Corrupt("keys 'strip_left' and 'strip_right' are needed");
    step.left = *left;
    step.right = *right;
    return step;
  }
  if (type == "Prepend") {
    step.kind = Kind::kPrepend;
    KAKEYA_ASSIGN_OR_RETURN(step.content, Content(spec, "prepend"));
    return step;
  }
  if (type == "Replace") {
    step.kind = Kind::kReplace;
    KAKEYA_ASSIGN_OR_RETURN(step.pattern, ParsePattern(spec));
    KAKEYA_ASSIGN_OR_RETURN(step.content, Content(spec, "content"));
    return step;
  }
  return Unsupported("type {} is not supported", Quoted(type));
}

Status Normalizer::Replace(const Step& step, std::string_view text, size_t max_bytes,
                           RegexScratch* scratch, std::string* out, std::vector<TextEdit>* edits) {
  if (text.empty()) return OkStatus();
  RegexSearch search(*step.pattern, text, scratch);
  size_t done = 0;
  RegexMatch match;
  while (true) {
    KAKEYA_ASSIGN_OR_RETURN(const bool found, search.Next(&match));
    if (!found) break;
    out->append(text.substr(done, match.begin - done));
    const size_t begin = out->size();
    out->append(step.content);
    KAKEYA_RETURN_IF_ERROR(CheckSize(out->size(), max_bytes));
    edits->push_back({match.begin, match.end, begin, out->size()});
    done = match.end;
  }
  out->append(text.substr(done));
  return OkStatus();
}

Status Normalizer::Apply(const Step& step, std::string_view text, size_t max_bytes,
                         RegexScratch* scratch, std::string* out, std::vector<TextEdit>* edits) {
  switch (step.kind) {
    case Step::Kind::kForm:
      *out = Normalize(step.form, text, edits);
      break;
    case Step::Kind::kLowercase:
      Lowercase(text, out, edits);
      break;
    case Step::Kind::kStrip:
      Strip(text, step.left, step.right, out, edits);
      break;
    case Step::Kind::kStripAccents:
      StripAccents(text, out, edits);
      break;
    case Step::Kind::kPrepend:
      Prepend(text, step.content, out, edits);
      break;
    case Step::Kind::kReplace:
      return Replace(step, text, max_bytes, scratch, out, edits);
  }
  return OkStatus();
}

Result<NormalizedText> Normalizer::Run(std::string_view text, RegexScratch* scratch) const {
  NormalizedText result{std::string(text), {}};
  const size_t max_bytes = kMaxGrowthOfShortTexts + kMaxGrowth * text.size();
  for (const Step& step : steps_) {
    std::string out;
    std::vector<TextEdit> edits;
    KAKEYA_RETURN_IF_ERROR(Apply(step, result.text, max_bytes, scratch, &out, &edits));
    KAKEYA_RETURN_IF_ERROR(CheckSize(out.size(), max_bytes));
    result.text = std::move(out);
    result.edits.push_back(std::move(edits));
  }
  return result;
}

}  // namespace kakeya
