#include "session/conversation.h"

#include <algorithm>
#include <utility>

namespace kakeya {

Result<Conversation> Conversation::Create(Engine* engine, ConversationOptions options) {
  KAKEYA_RETURN_IF_ERROR(engine->CheckChat());
  KAKEYA_ASSIGN_OR_RETURN(const Tokenizer* tokenizer, engine->tokenizer());
  Conversation conversation(engine, tokenizer, std::move(options));
  KAKEYA_RETURN_IF_ERROR(conversation.Clear());
  return conversation;
}

Status Conversation::Clear() {
  // The new session first: if there is no memory for a second one, the old one is emptied, which
  // needs none.
  Result<Session> session = Session::Create(engine_, options_.session);
  if (session.ok()) {
    session_.emplace(*std::move(session));
  } else {
    if (!session_) return session.status();
    KAKEYA_RETURN_IF_ERROR(session_->Truncate(0));
  }
  messages_ = Json::array();
  if (!options_.system.empty()) {
    messages_.push_back({{"role", "system"}, {"content", options_.system}});
  }
  return OkStatus();
}

Result<Generation> Conversation::Answer(std::string message, const GenerateOptions& options) {
  messages_.push_back({{"role", "user"}, {"content", std::move(message)}});
  Result<Generation> answer = Continue(options);
  const bool unanswered =
      !answer.ok() || (answer->stop == StopReason::kInterrupted && answer->tokens.empty());
  if (!unanswered) {
    messages_.push_back({{"role", "assistant"}, {"content", answer->text}});
  } else {
    messages_.erase(messages_.size() - 1);
  }
  return answer;
}

Result<Generation> Conversation::Continue(const GenerateOptions& options) {
  KAKEYA_RETURN_IF_ERROR(CheckOptions(options));
  ChatInput input;
  input.messages = messages_;
  if (options_.now) input.now = options_.now();
  KAKEYA_ASSIGN_OR_RETURN(std::vector<Segment> rendered, engine_->RenderChat(std::move(input)));
  KAKEYA_ASSIGN_OR_RETURN(std::vector<int32_t> ids, encoder_.Encode(std::move(rendered)));
  KAKEYA_ASSIGN_OR_RETURN(repeated_bos_, engine_->DropRepeatedBos(&ids));
  KAKEYA_RETURN_IF_ERROR(session_->CheckContext(static_cast<int64_t>(ids.size()),
                                                /*generates=*/options.max_tokens > 0));
  KAKEYA_RETURN_IF_ERROR(Read(ids));
  return session_->Generate(options);
}

// Gives the session what it doesn't have yet. A template may write an earlier turn differently than
// the model did (it drops thoughts, say), and a text has other spellings in tokens than the one
// that the tokenizer gives: from there on the session forgets.
Status Conversation::Read(std::span<const int32_t> ids) {
  const std::vector<int32_t>& have = session_->tokens();
  const auto differ = std::mismatch(have.begin(), have.end(), ids.begin(), ids.end()).first;
  const auto common = static_cast<size_t>(differ - have.begin());
  KAKEYA_RETURN_IF_ERROR(session_->Truncate(static_cast<int64_t>(common)));
  return session_->Append(ids.subspan(common));
}

}  // namespace kakeya
