// A conversation: messages, what the model's chat template makes of them, and the session that
// has read it. Of a new turn only what is new is tokenised and read.
//
// Thread safety: none, as of the session. Invariants:
//  (1) messages() is the whole conversation: every question that was answered, and its answer.
//  (2) Before each answer the session's tokens are exactly the ids of the rendered conversation.
//  (3) After an error, or when the answer was interrupted before it began, messages() is as it was.
//      What the session has read meanwhile is only a cache: the next answer keeps what fits.
#ifndef KAKEYA_SESSION_CONVERSATION_H_
#define KAKEYA_SESSION_CONVERSATION_H_

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "format/json.h"
#include "session/answer.h"
#include "session/engine.h"
#include "session/session.h"
#include "text/tokenizer/incremental_encoder.h"

namespace kakeya {

struct ConversationOptions {
  std::string system = {};  // the message to begin with; empty: none
  SessionOptions session = {};
  // For templates that tell the model today's date; without it those fail. May be empty.
  std::function<std::tm()> now = {};
};

class Conversation {
 public:
  // REQUIRES: the engine outlives the conversation. Errors: those of Engine::CheckChat and of
  // Session::Create.
  static Result<Conversation> Create(Engine* engine, ConversationOptions options);

  // Adds a user's message, generates the answer and adds it. Errors: those of Engine::RenderChat
  // and of the tokenizer, context_length_exceeded, and those of Session::Generate.
  Result<Generation> Answer(std::string message, const GenerateOptions& options);
  // Forgets everything but the system message. Errors: those of Session::Create; nothing has
  // changed then.
  Status Clear();

  const Json& messages() const { return messages_; }
  const Session& session() const { return *session_; }
  // Beginning-of-text tokens too many that the template wrote for the last answer.
  size_t repeated_bos() const { return repeated_bos_; }
  // Bytes of text that were tokenised so far.
  size_t encoded_bytes() const { return encoder_.encoded_bytes(); }

 private:
  Conversation(Engine* engine, const Tokenizer* tokenizer, ConversationOptions options)
      : engine_(engine), options_(std::move(options)), encoder_(tokenizer) {}

  Result<Generation> Continue(const GenerateOptions& options);
  Status Read(std::span<const int32_t> ids);

  Engine* engine_;
  ConversationOptions options_;
  IncrementalEncoder encoder_;
  Json messages_ = Json::array();
  std::optional<Session> session_;
  size_t repeated_bos_ = 0;
};

}  // namespace kakeya

#endif  // KAKEYA_SESSION_CONVERSATION_H_
