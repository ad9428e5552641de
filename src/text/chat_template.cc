#include "text/chat_template.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <new>
#include <string_view>
#include <utility>

#include "format/lfs_pointer.h"
#include "format/quote.h"
#include "format/read_file.h"
#include "format/utf8.h"
#include "text/jinja/ast.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/parser.h"
#include "text/jinja/runtime.h"

namespace kakeya {
namespace {

using jinja::Dict;
using jinja::Error;
using jinja::Fail;
using jinja::Runtime;
using jinja::Text;
using jinja::Value;

// Runs `body`, whose errors are exceptions.
template <typename T, typename Body>
Result<T> Guarded(Body body) {
  try {
    return body();
  } catch (const Error& error) {
    return Status(error.code, error.message);
  } catch (const std::bad_alloc&) {
    return ResourceExhausted("chat template: out of memory");
  }
}

// The caller's JSON as values; every text in it is the user's.
Value FromJson(Runtime& runtime, const Json& json) {
  switch (json.type()) {
    case Json::value_t::null:
      return Value();
    case Json::value_t::boolean:
      return Value(json.get<bool>());
    case Json::value_t::number_integer:
      return Value(json.get<int64_t>());
    case Json::value_t::number_unsigned: {
      const auto number = json.get<uint64_t>();
      if (number > INT64_MAX) Fail("the number {} is too large for a chat template", number);
      return Value(static_cast<int64_t>(number));
    }
    case Json::value_t::number_float:
      return Value(json.get<double>());
    case Json::value_t::string: {
      const auto& text = json.get_ref<const std::string&>();
      const size_t bad = FindInvalidUtf8(text);
      if (bad != text.size()) Fail("a message is not valid UTF-8 at byte {}", bad);
      return runtime.NewString(Text::User(text));
    }
    case Json::value_t::array: {
      const Runtime::Level level(runtime);
      std::vector<Value> items;
      for (const Json& item : json) items.push_back(FromJson(runtime, item));
      return runtime.NewList(std::move(items));
    }
    case Json::value_t::object: {
      const Runtime::Level level(runtime);
      Dict dict;
      for (const auto& [key, item] : json.items()) {
        dict.Set(FromJson(runtime, Json(key)), FromJson(runtime, item));
      }
      return runtime.NewDict(std::move(dict));
    }
    default:
      Fail("binary data has no place in a chat");
  }
}

// Roles are words of the protocol, not of the user, when they are one of these.
bool IsKnownRole(std::string_view role) {
  static constexpr std::string_view kRoles[] = {"system",    "developer", "user",
                                                "assistant", "tool",      "function",
                                                "model",     "ipython",   "observation"};
  return std::find(std::begin(kRoles), std::end(kRoles), role) != std::end(kRoles);
}

// The reasoning of an earlier answer has had several names; templates read it under
// "reasoning_content" or "thinking".
Json WithReasoningNames(const Json& message) {
  for (const char* name : {"reasoning_content", "thinking", "reasoning"}) {
    const auto it = message.find(name);
    if (it == message.end() || it->is_null()) continue;
    Json out = Json::object();
    out["thinking"] = *it;
    for (const auto& [key, value] : message.items()) out[key] = value;
    out["reasoning_content"] = *it;
    return out;
  }
  return message;
}

Value MessagesFromJson(Runtime& runtime, const Json& messages) {
  if (!messages.is_array()) Fail("messages must be a list");
  std::vector<Value> out;
  for (const Json& message : messages) {
    if (!message.is_object()) Fail("message {} is not an object", out.size());
    Value value = FromJson(runtime, WithReasoningNames(message));
    const Value* role = value.AsDict()->Find("role");
    if (role && role->IsString() && IsKnownRole(role->AsText()->str())) {
      Dict dict = *value.AsDict();
      dict.Set(runtime.NewString("role"), runtime.NewString(role->AsText()->str()));
      value = runtime.NewDict(std::move(dict));
    }
    out.push_back(std::move(value));
  }
  return runtime.NewList(std::move(out));
}

bool IsIdentifier(const std::string& name) {
  const auto word = [](char c) {
    return c == '_' || (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
  };
  return !name.empty() && name.size() <= 64 && name[0] != '_' &&
         !(name[0] >= '0' && name[0] <= '9') && std::all_of(name.begin(), name.end(), word);
}

void AddVariables(Runtime& runtime, const Json& variables, Dict* out) {
  static constexpr std::string_view kTaken[] = {
      "messages",     "tools",     "add_generation_prompt",
      "bos_token",    "eos_token", "loop",
      "caller",       "varargs",   "kwargs",
      "self",         "super",     "range",
      "namespace",    "dict",      "joiner",
      "cycler",       "lipsum",    "raise_exception",
      "strftime_now", "true",      "false",
      "none",         "True",      "False",
      "None",         "not",       "and",
      "or",           "in",        "is",
      "if",           "else"};
  if (variables.is_null()) return;
  if (!variables.is_object()) Fail("chat_template_kwargs must be an object");
  for (const auto& [key, value] : variables.items()) {
    if (!IsIdentifier(key)) Fail("chat_template_kwargs: {} is not a plain name", Quoted(key));
    if (std::find(std::begin(kTaken), std::end(kTaken), key) != std::end(kTaken)) {
      Fail("chat_template_kwargs: {} can't be overridden", Quoted(key));
    }
    out->Set(runtime.NewString(key), FromJson(runtime, value));
  }
}

Dict MakeVariables(Runtime& runtime, const ChatInput& input) {
  if (!input.tools.is_null() && !input.tools.is_array()) Fail("tools must be a list");
  Dict out;
  const auto set = [&](const char* name, Value value) {
    out.Set(runtime.NewString(name), std::move(value));
  };
  set("messages", MessagesFromJson(runtime, input.messages));
  set("tools", FromJson(runtime, input.tools));
  set("documents", Value());
  set("add_generation_prompt", Value(input.add_generation_prompt));
  set("bos_token", runtime.NewString(input.bos_token));
  set("eos_token", runtime.NewString(input.eos_token));
  AddVariables(runtime, input.variables, &out);
  return out;
}

}  // namespace

Result<ChatTemplate> ChatTemplate::Parse(const std::string& source, const TemplateLimits& limits) {
  if (source.size() > limits.max_source) {
    return ResourceExhausted("chat template: {} bytes, more than {}", source.size(),
                             limits.max_source);
  }
  const size_t bad = FindInvalidUtf8(source);
  if (bad != source.size()) return Corrupt("chat template: not valid UTF-8 at byte {}", bad);
  return Guarded<ChatTemplate>([&] {
    return ChatTemplate(std::make_shared<const jinja::Template>(jinja::ParseTemplate(source)),
                        limits);
  });
}

Result<std::vector<Segment>> ChatTemplate::Render(const ChatInput& input) const {
  return Guarded<std::vector<Segment>>([&] {
    Runtime runtime(limits_, input.now);
    const Dict variables = MakeVariables(runtime, input);
    return jinja::RenderTemplate(runtime, *template_, variables).Segments();
  });
}

Result<std::string> ChatTemplate::FromTokenizerConfig(const Json& tokenizer_config,
                                                      const std::string& dir, bool with_tools) {
  constexpr size_t kMaxFile = 1u << 20;
  const std::string path = dir + "/chat_template.jinja";
  struct stat info;
  if (!dir.empty() && lstat(path.c_str(), &info) == 0) {
    KAKEYA_ASSIGN_OR_RETURN(std::string source, ReadTextFile(path, kMaxFile));
    KAKEYA_RETURN_IF_ERROR(RefuseLfsPointer(path, source));
    return source;
  }
  const auto it = tokenizer_config.is_object() ? tokenizer_config.find("chat_template")
                                               : tokenizer_config.end();
  if (it == tokenizer_config.end() || it->is_null())
    return NotFound("the model has no chat template");
  if (it->is_string()) return it->get<std::string>();
  if (!it->is_array())
    return Corrupt("tokenizer_config.json: chat_template is neither a text nor a list");
  std::optional<std::string> chosen;
  for (const Json& entry : *it) {
    KAKEYA_ASSIGN_OR_RETURN(const std::string name, GetString(entry, "name"));
    KAKEYA_ASSIGN_OR_RETURN(std::string source, GetString(entry, "template"));
    if (name == (with_tools ? "tool_use" : "default")) return source;
    if (name == "default") chosen = std::move(source);
  }
  if (!chosen) return NotFound("tokenizer_config.json: chat_template has no entry \"default\"");
  return *std::move(chosen);
}

Result<std::string> ChatTemplate::TokenText(const Json& tokenizer_config, const char* key) {
  const auto it =
      tokenizer_config.is_object() ? tokenizer_config.find(key) : tokenizer_config.end();
  if (it == tokenizer_config.end() || it->is_null()) return std::string();
  if (it->is_string()) return it->get<std::string>();
  if (!it->is_object())
    return Corrupt("tokenizer_config.json: {} is neither a text nor an object", key);
  return GetString(*it, "content");
}

std::string JoinSegments(const std::vector<Segment>& segments) {
  std::string out;
  for (const Segment& segment : segments) out += segment.text;
  return out;
}

}  // namespace kakeya
