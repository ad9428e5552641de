#include "text/tokenizer/pretokenizer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "format/quote.h"
#include "text/tokenizer/unicode_scripts.h"
#include "text/tokenizer/vocab.h"

namespace kakeya {
namespace {

// GPT-2's pattern, which ByteLevel applies when "use_regex" is set.
constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// What isn't a word character or white space to Rust's regexes, which Whitespace is written in.
constexpr std::string_view kWhitespaceWords =
    R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200c}\x{200d}]+)"
    R"(|[^\s\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200c}\x{200d}]+)";

constexpr std::string_view kPunctuation = R"([!-/:-@\[-`{-~\p{P}])";
constexpr std::string_view kBertWords = R"([!-/:-@\[-`{-~\p{P}]|[^\s!-/:-@\[-`{-~\p{P}]+)";

constexpr size_t kMaxSteps = 32;
constexpr int64_t kMaxFixedLength = 65535;  // PCRE2's longest repeat

Result<SplitBehavior> ParseBehavior(const std::string& name) {
  constexpr std::array<std::pair<std::string_view, SplitBehavior>, 5> kNames = {{
      {"Isolated", SplitBehavior::kIsolated},
      {"Removed", SplitBehavior::kRemoved},
      {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
      {"MergedWithNext", SplitBehavior::kMergedWithNext},
      {"Contiguous", SplitBehavior::kContiguous},
  }};
  for (const auto& [known, behavior] : kNames) {
    if (known == name) return behavior;
  }
  return Unsupported("behavior {} is not supported", Quoted(name));
}

std::string_view Join(std::string_view first, std::string_view last) {
  return {first.data(), static_cast<size_t>(last.data() + last.size() - first.data())};
}

Status FindParts(const PretokenizerRegex& regex, std::string_view text, bool invert,
                 RegexScratch* scratch, std::vector<SplitPart>* parts) {
  parts->clear();
  RegexSearch search(regex, text, scratch);
  size_t done = 0;
  RegexMatch match;
  while (true) {
    KAKEYA_ASSIGN_OR_RETURN(const bool found, search.Next(&match));
    if (!found) break;
    if (done != match.begin) parts->push_back({text.substr(done, match.begin - done), invert});
    parts->push_back({text.substr(match.begin, match.end - match.begin), !invert});
    done = match.end;
  }
  if (done != text.size()) parts->push_back({text.substr(done), invert});
  return OkStatus();
}

}  // namespace

void ApplySplitBehavior(const std::vector<SplitPart>& parts, SplitBehavior behavior,
                        std::vector<std::string_view>* words) {
  const size_t first = words->size();
  bool previous_match = false;
  switch (behavior) {
    case SplitBehavior::kIsolated:
      for (const SplitPart& part : parts) words->push_back(part.text);
      break;
    case SplitBehavior::kRemoved:
      for (const SplitPart& part : parts) {
        if (!part.is_match) words->push_back(part.text);
      }
      break;
    case SplitBehavior::kMergedWithPrevious:
    case SplitBehavior::kContiguous:
      for (const SplitPart& part : parts) {
        const bool joins = behavior == SplitBehavior::kContiguous
                               ? part.is_match == previous_match
                               : part.is_match && !previous_match;
        if (joins && words->size() > first) {
          words->back() = Join(words->back(), part.text);
        } else {
          words->push_back(part.text);
        }
        previous_match = part.is_match;
      }
      break;
    case SplitBehavior::kMergedWithNext:
      for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
        if (part->is_match && !previous_match && words->size() > first) {
          words->back() = Join(part->text, words->back());
        } else {
          words->push_back(part->text);
        }
        previous_match = part->is_match;
      }
      std::reverse(words->begin() + static_cast<std::ptrdiff_t>(first), words->end());
      break;
  }
  const auto begin = words->begin() + static_cast<std::ptrdiff_t>(first);
  words->erase(std::remove(begin, words->end(), std::string_view()), words->end());
}

Result<PretokenizerRegex> ParsePattern(const Json& spec) {
  KAKEYA_ASSIGN_OR_RETURN(const Json* pattern, FindObject(spec, "pattern"));
  if (pattern == nullptr) return Corrupt("key 'pattern' is missing");
  KAKEYA_ASSIGN_OR_RETURN(const auto regex, FindString(*pattern, "Regex"));
  KAKEYA_ASSIGN_OR_RETURN(const auto literal, FindString(*pattern, "String"));
  if (regex.has_value() == literal.has_value()) {
    return Corrupt("key 'pattern' must hold either 'Regex' or 'String'");
  }
  return regex.has_value() ? PretokenizerRegex::Compile(*regex)
                           : PretokenizerRegex::CompileLiteral(*literal);
}

Result<PreTokenizer> PreTokenizer::Parse(const Json& spec) {
  PreTokenizer result;
  if (!spec.is_null()) KAKEYA_RETURN_IF_ERROR(result.ParseInto(spec, "pre_tokenizer"));
  if (!result.has_bytes_) {
    return Unsupported("pre_tokenizer has no ByteLevel: only byte-level BPE is supported");
  }
  return result;
}

Status PreTokenizer::ParseInto(const Json& spec, const std::string& where) {
  Result<std::string> type = GetString(spec, "type");
  if (!type.ok()) return type.status().WithContext(where);
  if (*type != "Sequence") {
    if (has_bytes_ && *type == "ByteLevel") {
      return Unsupported("{}: a second ByteLevel is not supported", where);
    }
    if (steps_.size() == kMaxSteps) return Unsupported("{}: more than {} steps", where, kMaxSteps);
    Result<Step> step = ParseStep(spec, *type);
    if (!step.ok()) return step.status().WithContext(where);
    has_bytes_ |= step->to_bytes;
    steps_.push_back(*std::move(step));
    return OkStatus();
  }
  Result<const Json*> parts = FindArray(spec, "pretokenizers");
  if (!parts.ok()) return parts.status().WithContext(where);
  if (*parts == nullptr) return Corrupt("{}: key 'pretokenizers' is missing", where);
  for (size_t i = 0; i < (*parts)->size(); ++i) {
    KAKEYA_RETURN_IF_ERROR(ParseInto((**parts)[i], fmt::format("{}[{}]", where, i)));
  }
  return OkStatus();
}

Result<PreTokenizer::Step> PreTokenizer::ParseStep(const Json& spec, const std::string& type) {
  if (type == "ByteLevel") return ParseByteLevel(spec);
  if (type == "Split") return ParseSplit(spec);
  if (type == "Digits") return ParseDigits(spec);
  if (type == "Punctuation") return ParsePunctuation(spec);
  if (type == "CharDelimiterSplit") return ParseDelimiter(spec);
  if (type == "FixedLength") return ParseFixedLength(spec);
  if (type == "WhitespaceSplit") return Words(R"(\S+)");
  if (type == "Whitespace") return Words(kWhitespaceWords);
  if (type == "BertPreTokenizer") return Words(kBertWords);
  if (type == "UnicodeScripts") return Words(UnicodeScriptsPattern());
  return Unsupported("type {} is not supported", Quoted(type));
}

// Keeps what the pattern matches.
Result<PreTokenizer::Step> PreTokenizer::Words(std::string_view pattern) {
  Step step;
  step.behavior = SplitBehavior::kRemoved;
  step.invert = true;
  KAKEYA_ASSIGN_OR_RETURN(step.regex, PretokenizerRegex::Compile(pattern));
  return step;
}

Result<PreTokenizer::Step> PreTokenizer::ParseByteLevel(const Json& spec) {
  Step step;
  step.to_bytes = true;
  KAKEYA_ASSIGN_OR_RETURN(const auto prefix, FindBool(spec, "add_prefix_space"));
  KAKEYA_ASSIGN_OR_RETURN(const auto use_regex, FindBool(spec, "use_regex"));
  if (!prefix.has_value()) return Corrupt("key 'add_prefix_space' is missing");
  step.add_prefix_space = *prefix;
  if (use_regex.value_or(true)) {
    KAKEYA_ASSIGN_OR_RETURN(step.regex, PretokenizerRegex::Compile(kGpt2Pattern));
  }
  return step;
}

Result<PreTokenizer::Step> PreTokenizer::ParseSplit(const Json& spec) {
  Step step;
  KAKEYA_ASSIGN_OR_RETURN(step.regex, ParsePattern(spec));
  KAKEYA_ASSIGN_OR_RETURN(const std::string behavior, GetString(spec, "behavior"));
  KAKEYA_ASSIGN_OR_RETURN(step.behavior, ParseBehavior(behavior));
  KAKEYA_ASSIGN_OR_RETURN(const auto invert, FindBool(spec, "invert"));
  step.invert = invert.value_or(false);
  return step;
}

Result<PreTokenizer::Step> PreTokenizer::ParseDigits(const Json& spec) {
  Step step;
  KAKEYA_ASSIGN_OR_RETURN(const auto individual, FindBool(spec, "individual_digits"));
  if (!individual.has_value()) return Corrupt("key 'individual_digits' is missing");
  step.behavior = *individual ? SplitBehavior::kIsolated : SplitBehavior::kContiguous;
  KAKEYA_ASSIGN_OR_RETURN(step.regex, PretokenizerRegex::Compile(R"(\p{N})"));
  return step;
}

Result<PreTokenizer::Step> PreTokenizer::ParsePunctuation(const Json& spec) {
  Step step;
  KAKEYA_ASSIGN_OR_RETURN(const auto behavior, FindString(spec, "behavior"));
  KAKEYA_ASSIGN_OR_RETURN(step.behavior, ParseBehavior(behavior.value_or("Isolated")));
  KAKEYA_ASSIGN_OR_RETURN(step.regex, PretokenizerRegex::Compile(kPunctuation));
  return step;
}

Result<PreTokenizer::Step> PreTokenizer::ParseDelimiter(const Json& spec) {
  Step step;
  KAKEYA_ASSIGN_OR_RETURN(const std::string delimiter, GetString(spec, "delimiter"));
  if (delimiter.empty()) return Corrupt("key 'delimiter' is empty");
  step.behavior = SplitBehavior::kRemoved;
  KAKEYA_ASSIGN_OR_RETURN(step.regex, PretokenizerRegex::CompileLiteral(delimiter));
  return step;
}

Result<PreTokenizer::Step> PreTokenizer::ParseFixedLength(const Json& spec) {
  KAKEYA_ASSIGN_OR_RETURN(const int64_t length, GetInt(spec, "length", 1, kMaxFixedLength));
  return Words(fmt::format(R"([\s\S]{{1,{}}})", length));
}

Status PreTokenizer::Run(const Step& step, std::string_view text, RegexScratch* scratch,
                         std::deque<std::string>* owned, std::vector<SplitPart>* parts,
                         std::vector<std::string_view>* words) {
  if (step.add_prefix_space && !text.starts_with(' ')) {
    text = owned->emplace_back(std::string(1, ' ').append(text));
  }
  if (!step.regex.has_value()) {
    words->push_back(text);
    return OkStatus();
  }
  KAKEYA_RETURN_IF_ERROR(FindParts(*step.regex, text, step.invert, scratch, parts));
  ApplySplitBehavior(*parts, step.behavior, words);
  return OkStatus();
}

Status PreTokenizer::Split(std::string_view text, RegexScratch* scratch,
                           std::deque<std::string>* owned,
                           std::vector<std::string_view>* words) const {
  words->clear();
  if (!text.empty()) words->push_back(text);
  std::vector<std::string_view> before;
  std::vector<SplitPart> parts;
  bool spelled = false;  // the words are in the characters of bytes
  for (size_t i = 0; i < steps_.size(); ++i) {
    const Step& step = steps_[i];
    if (step.regex.has_value() || step.add_prefix_space) {
      before.swap(*words);
      words->clear();
      for (const std::string_view word : before) {
        KAKEYA_RETURN_IF_ERROR(Run(step, word, scratch, owned, &parts, words));
      }
    }
    if (step.to_bytes && i + 1 < steps_.size()) {
      for (std::string_view& word : *words) word = owned->emplace_back(EncodeByteLevel(word));
      spelled = true;
    }
  }
  if (!spelled) return OkStatus();
  for (std::string_view& word : *words) word = owned->emplace_back(*DecodeByteLevel(word));
  return OkStatus();
}

}  // namespace kakeya
