#include "eval/recall/prompts/prompt_format.h"

#include <algorithm>

#include "eval/recall/prompts/haystack.h"
#include "eval/recall/prompts/lexicon.h"

namespace kakeya {
namespace {

constexpr std::string_view kTextHead =
    "What follows is a long text. Keep in mind what it says.\n\n";
constexpr std::string_view kJsonHead = "What follows is a long JSON object.\n\n{\n";

std::string Asked(std::string_view question) {
  return fmt::format("Question: {}\nAnswer:", question);
}

const std::string& TextOf(const RecallStatement& statement, bool edited) {
  return edited ? statement.edited : statement.text;
}

// A statement goes on where a line or sentence ended, and takes a line of its own in the midst of
// one.
void AppendStatement(std::string_view statement, std::string* text) {
  const bool after_space = text->ends_with(' ');
  if (!after_space && !text->ends_with('\n')) *text += '\n';
  *text += statement;
  *text += after_space ? ' ' : '\n';
}

}  // namespace

Result<ComposedPrompt> TextPromptFormat::Compose(std::span<const RecallPiece> pieces,
                                                 std::string_view question, bool edited) const {
  std::string text(json_ ? kJsonHead : kTextHead);
  for (const RecallPiece& piece : pieces) {
    const RecallStatement* statement = piece.statement;
    if (json_) {
      // Whole lines; npos + 1 = 0 leaves nothing.
      text += statement != nullptr
                  ? TextOf(*statement, edited) + ",\n"
                  : std::string(piece.filler.substr(0, piece.filler.rfind('\n') + 1));
    } else if (statement != nullptr) {
      AppendStatement(TextOf(*statement, edited), &text);
    } else {
      text += piece.filler;
    }
  }
  if (json_) {
    if (text.ends_with(",\n")) text.erase(text.size() - 2);
    text += "\n}";
  }
  while (text.ends_with(' ')) text.pop_back();
  text += '\n';
  const std::string asked = Asked(question);
  text += asked;
  ComposedPrompt composed;
  KAKEYA_ASSIGN_OR_RETURN(composed.ids, tokenizer_->Encode(text));
  while (!composed.ids.empty() && tokenizer_->IsSpecial(composed.ids.back())) {
    composed.ids.pop_back();  // an end-of-text token: the answer is to follow
  }
  const std::vector<size_t> offsets = TokenOffsets(*tokenizer_, composed.ids);
  if (offsets.back() < asked.size()) return Unsupported("the tokenizer loses text");
  const auto after =
      std::upper_bound(offsets.begin(), offsets.end(), offsets.back() - asked.size());
  composed.split = after - offsets.begin() - 1;
  return composed;
}

Result<std::vector<int32_t>> TextPromptFormat::ComposeLater(std::string_view question) const {
  return tokenizer_->Encode("\n" + Asked(question), {.add_special_tokens = false});
}

Result<ComposedPrompt> ChatPromptFormat::Compose(std::span<const RecallPiece> pieces,
                                                 std::string_view question, bool edited) const {
  ChatInput chat;
  const auto say = [&](std::string_view user, std::string_view assistant) {
    chat.messages.push_back({{"role", "user"}, {"content", user}});
    chat.messages.push_back({{"role", "assistant"}, {"content", assistant}});
  };
  for (size_t i = 0; i < pieces.size(); ++i) {
    std::string_view passage = pieces[i].filler;
    constexpr std::string_view kSpace = " \t\r\n";
    passage.remove_prefix(std::min(passage.find_first_not_of(kSpace), passage.size()));
    passage = passage.substr(0, passage.find_last_not_of(kSpace) + 1);
    if (pieces[i].statement != nullptr) {
      say(TextOf(*pieces[i].statement, edited), pieces[i].statement->reply);
    } else if (!passage.empty()) {
      say(passage, Reactions()[i % Reactions().size()]);
    }
  }
  // A model that would think aloud first has no room for it.
  chat.variables = Json::object({{"enable_thinking", false}});
  chat.add_generation_prompt = false;
  ComposedPrompt composed;
  std::vector<int32_t> before;
  if (!chat.messages.empty()) {
    KAKEYA_ASSIGN_OR_RETURN(before, engine_->EncodeChat(chat));
  }
  chat.add_generation_prompt = true;
  chat.messages.push_back({{"role", "user"}, {"content", question}});
  KAKEYA_ASSIGN_OR_RETURN(composed.ids, engine_->EncodeChat(std::move(chat)));
  const size_t most = std::min(before.size(), composed.ids.size());
  composed.split = std::mismatch(before.begin(), before.begin() + static_cast<int64_t>(most),
                                 composed.ids.begin())
                       .first -
                   before.begin();
  return composed;
}

Result<std::vector<int32_t>> ChatPromptFormat::ComposeLater(std::string_view /*question*/) const {
  return Unsupported("a chat of this kind has one question");
}

}  // namespace kakeya
