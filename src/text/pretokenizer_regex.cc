#include "text/pretokenizer_regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <time.h>

#include <algorithm>
#include <array>

#include "format/quote.h"
#include "text/pretokenizer_pattern.h"

namespace kakeya {
namespace {

// PCRE2 counts its match limit anew at each start position. Searching a few starts per call keeps
// one call short enough for the time budget to be looked at in between.
constexpr size_t kStartsPerCall = 64;
constexpr int kCallsPerClockReading = 64;
constexpr uint32_t kParenthesesDepth = 100;
constexpr uint32_t kHeapLimitKib = 64 << 10;
constexpr size_t kJitStackStart = 32 << 10;
constexpr size_t kJitStackMax = 1 << 20;

double ThreadSeconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

std::string Pcre2Message(int code) {
  std::array<PCRE2_UCHAR, 160> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  return std::string(reinterpret_cast<const char*>(text.data()));
}

PCRE2_SPTR AsPcre2(std::string_view text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

}  // namespace

Result<PretokenizerRegex> PretokenizerRegex::Compile(std::string_view pattern) {
  KAKEYA_ASSIGN_OR_RETURN(const std::string translated, TranslatePattern(pattern));
  return CompileTranslated(pattern, translated, PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C);
}

Result<PretokenizerRegex> PretokenizerRegex::CompileLiteral(std::string_view text) {
  if (text.size() > kMaxPatternBytes) {
    return Unsupported("pattern of {} bytes is longer than the limit of {}", text.size(),
                       kMaxPatternBytes);
  }
  return CompileTranslated(text, std::string(text), PCRE2_LITERAL);
}

Result<PretokenizerRegex> PretokenizerRegex::CompileTranslated(std::string_view source,
                                                               const std::string& translated,
                                                               uint32_t options) {
  const std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)> context(
      pcre2_compile_context_create(nullptr), pcre2_compile_context_free);
  if (context == nullptr) return ResourceExhausted("no memory for a regex");
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  pcre2_set_parens_nest_limit(context.get(), kParenthesesDepth);
  options |= PCRE2_UTF | PCRE2_USE_OFFSET_LIMIT;
  if ((options & PCRE2_LITERAL) == 0) options |= PCRE2_UCP;
  int error = 0;
  size_t offset = 0;
  pcre2_code* code = pcre2_compile(AsPcre2(translated), translated.size(), options, &error, &offset,
                                   context.get());
  if (code == nullptr) {
    return Unsupported("regex {}: {}", Quoted(source), Printable(Pcre2Message(error), 160));
  }
  PretokenizerRegex regex;
  regex.source_ = source;
  regex.code_ = std::shared_ptr<const void>(
      code, [](const void* p) { pcre2_code_free(static_cast<pcre2_code*>(const_cast<void*>(p))); });
  // Where the system forbids it we go on with the interpreter: slower, same matches.
  (void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
  return regex;
}

struct RegexScratch::State {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(kJitStackStart, kJitStackMax, nullptr);
  double deadline = 0;
  int calls = 0;

  State() {
    if (context == nullptr) return;
    pcre2_jit_stack_assign(context, nullptr, stack);
    pcre2_set_heap_limit(context, kHeapLimitKib);
  }
  ~State() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    pcre2_jit_stack_free(stack);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
};

RegexScratch::RegexScratch(size_t text_bytes) : state_(std::make_unique<State>()) {
  state_->deadline = ThreadSeconds() + 5.0 + static_cast<double>(text_bytes) * 4e-6;
}
RegexScratch::~RegexScratch() = default;

RegexSearch::RegexSearch(const PretokenizerRegex& regex, std::string_view text,
                         RegexScratch* scratch)
    : regex_(regex), text_(text), state_(scratch->state_.get()) {
  if (state_->context == nullptr) return;
  // Giving back a run of white space one character at a time costs one unit per character; a
  // pattern that costs much more at a single position is exponential.
  const size_t limit = 1'000'000 + 8 * std::min<size_t>(text.size(), size_t{400} << 20);
  pcre2_set_match_limit(state_->context, static_cast<uint32_t>(limit));
  pcre2_set_depth_limit(state_->context, static_cast<uint32_t>(limit));
}

size_t RegexSearch::NextChar(size_t at) const {
  ++at;
  while (at < text_.size() && (static_cast<uint8_t>(text_[at]) & 0xc0) == 0x80) ++at;
  return at;
}

Result<bool> RegexSearch::SearchWindow(size_t from, RegexMatch* match) {
  if (state_->data == nullptr || state_->context == nullptr) {
    return ResourceExhausted("no memory for a regex");
  }
  if (++state_->calls % kCallsPerClockReading == 0 && ThreadSeconds() > state_->deadline) {
    return ResourceExhausted("regex {} takes too long on this text", Quoted(regex_.source()));
  }
  const auto* code = static_cast<const pcre2_code*>(regex_.code());
  pcre2_set_offset_limit(state_->context, from + kStartsPerCall - 1);
  int rc = pcre2_match(code, AsPcre2(text_), text_.size(), from, PCRE2_NO_UTF_CHECK, state_->data,
                       state_->context);
  if (rc == PCRE2_ERROR_JIT_STACKLIMIT) {
    rc = pcre2_match(code, AsPcre2(text_), text_.size(), from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                     state_->data, state_->context);
  }
  if (rc == PCRE2_ERROR_NOMATCH) return false;
  if (rc < 0) {
    return ResourceExhausted("regex {} gave up at byte {} of a piece of text: {}",
                             Quoted(regex_.source()), from, Printable(Pcre2Message(rc), 160));
  }
  const size_t* ovector = pcre2_get_ovector_pointer(state_->data);
  *match = {ovector[0], ovector[1]};
  return true;
}

Result<bool> RegexSearch::Next(RegexMatch* match) {
  while (from_ <= text_.size()) {
    KAKEYA_ASSIGN_OR_RETURN(const bool found, SearchWindow(from_, match));
    if (!found) {
      from_ = NextChar(std::min(from_ + kStartsPerCall - 1, text_.size()));
      continue;
    }
    if (match->begin == match->end && match->end == last_end_) {
      from_ = NextChar(from_);
      continue;
    }
    from_ = last_end_ = match->end;
    return true;
  }
  return false;
}

}  // namespace kakeya
