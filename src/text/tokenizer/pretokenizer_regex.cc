#include "text/tokenizer/pretokenizer_regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>

#include "format/quote.h"
#include "text/tokenizer/pretokenizer_pattern.h"

namespace kakeya {
namespace {

constexpr uint32_t kParenthesesDepth = 100;
constexpr uint32_t kHeapLimitKib = 64 << 10;
constexpr size_t kJitStackStart = 32 << 10;
constexpr size_t kJitStackMax = 1 << 20;

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
  options |= PCRE2_UTF;
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
  uint64_t steps_left = 0;
  size_t position = 0;  // of the last callout

  State() {
    if (context == nullptr) return;
    pcre2_jit_stack_assign(context, nullptr, stack);
    pcre2_set_heap_limit(context, kHeapLimitKib);
    pcre2_set_callout(context, &State::Count, this);
  }
  ~State() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    pcre2_jit_stack_free(stack);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  // Called behind every repeat and group. PCRE2's own match limit counts neither the characters
  // that a repeat runs over nor, summed up, the starts: a*a*b would take hours on a megabyte.
  static int Count(pcre2_callout_block* block, void* self) {
    auto* state = static_cast<State*>(self);
    const size_t now = block->current_position;
    const size_t steps =
        1 + (now > state->position ? now - state->position : state->position - now);
    state->position = now;
    if (steps > state->steps_left) return PCRE2_ERROR_CALLOUT;
    state->steps_left -= steps;
    return 0;
  }
};

RegexScratch::RegexScratch(size_t text_bytes) : state_(std::make_unique<State>()) {
  state_->steps_left = 10'000'000 + uint64_t{200} * text_bytes;
}
RegexScratch::~RegexScratch() = default;

RegexSearch::RegexSearch(const PretokenizerRegex& regex, std::string_view text,
                         RegexScratch* scratch)
    : regex_(regex), text_(text), state_(scratch->state_.get()) {
  state_->position = 0;
}

size_t RegexSearch::NextChar(size_t at) const {
  ++at;
  while (at < text_.size() && (static_cast<uint8_t>(text_[at]) & 0xc0) == 0x80) ++at;
  return at;
}

Result<bool> RegexSearch::Next(RegexMatch* match) {
  if (state_->data == nullptr || state_->context == nullptr) {
    return ResourceExhausted("no memory for a regex");
  }
  const auto* code = static_cast<const pcre2_code*>(regex_.code());
  while (from_ <= text_.size()) {
    const auto search = [&](uint32_t options) {
      return pcre2_match(code, AsPcre2(text_), text_.size(), from_, PCRE2_NO_UTF_CHECK | options,
                         state_->data, state_->context);
    };
    int rc = search(0);
    // The interpreter keeps its stack on the heap and has more of it.
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT) rc = search(PCRE2_NO_JIT);
    if (rc == PCRE2_ERROR_NOMATCH) return false;
    if (rc < 0) {
      const std::string why = rc == PCRE2_ERROR_CALLOUT ? "too many steps" : Pcre2Message(rc);
      return ResourceExhausted("regex {} gave up on this text: {}", Quoted(regex_.source()),
                               Printable(why, 160));
    }
    const size_t* ovector = pcre2_get_ovector_pointer(state_->data);
    *match = {ovector[0], ovector[1]};
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
