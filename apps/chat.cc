// kakeya chat: a conversation over the model's chat template.
#include <fmt/core.h>
#include <unistd.h>

#include <ctime>
#include <iostream>
#include <optional>

#include "chat_input.h"
#include "format/read_file.h"
#include "options.h"
#include "output.h"
#include "session/conversation.h"
#include "verbs.h"

namespace kakeya::cli {
namespace {

struct ChatFlags {
  ModelFlags model;
  KvFlags kv;
  SamplingFlags sampling;
  std::string system;
};

constexpr const char* kHelp =
    "/read FILE  put a file's text before your next message\n"
    "/clear      forget the conversation\n"
    "/stats      tokens and bytes so far\n"
    "/exit       leave (so does Ctrl-D)\n"
    "A line that ends in \\ goes on in the next line. Ctrl-C ends an answer.\n";

// For templates that tell the model today's date.
std::tm LocalTime() {
  const std::time_t now = std::time(nullptr);
  std::tm local = {};
  localtime_r(&now, &local);
  return local;
}

void PrintStats(const Session& session) {
  const KvUsage usage = session.kv_usage();
  PrintErr(fmt::format("[{} tokens, K/V {} ({} bytes), at most {} so far, history {}]\n",
                       session.tokens().size(), HumanBytes(usage.resident_bytes),
                       usage.resident_bytes, HumanBytes(usage.peak_bytes),
                       HumanBytes(usage.history_bytes)));
}

// What a command does. Errors are for the user to read; the conversation goes on.
Status Command(const ChatEntry& entry, Conversation* conversation, std::string* attachment) {
  const bool alone = entry.argument.empty();
  if (entry.command == "/clear" && alone) return conversation->Clear();
  if (entry.command == "/stats" && alone) {
    PrintStats(conversation->session());
    return OkStatus();
  }
  if (entry.command == "/read") {
    constexpr size_t kMaxBytes = size_t{64} << 20;
    if (alone) return InvalidArgument("/read wants the name of a file");
    KAKEYA_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(entry.argument, kMaxBytes));
    KAKEYA_RETURN_IF_ERROR(CheckPrompt(text));
    *attachment += text + "\n\n";
    return OkStatus();
  }
  if (entry.command.find('\0') != entry.command.npos) {
    return InvalidArgument("a command with a zero byte");
  }
  PrintErr(kHelp);
  return OkStatus();
}

// An attachment goes with one message, answered or not: a text that doesn't fit would be in the way
// of every message to come.
Status Answer(const std::string& message, const GenerateOptions& options,
              Conversation* conversation, std::string* attachment) {
  const size_t before = conversation->messages().size();
  const Status status = conversation->Answer(*attachment + message, options).status();
  if (!attachment->empty() && conversation->messages().size() == before) {
    PrintErr("[what was read from files went with that message: /read it again]\n");
  }
  attachment->clear();
  return status;
}

Result<int> Run(ChatFlags flags) {
  KAKEYA_RETURN_IF_ERROR(flags.kv.Resolve(flags.model));
  KAKEYA_RETURN_IF_ERROR(CheckOptions(flags.kv.ToOptions()));
  KAKEYA_RETURN_IF_ERROR(CheckOptions(flags.sampling.ToOptions()));
  KAKEYA_ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine,
                          flags.model.Load(flags.kv.RestorerDir()));
  flags.kv.Settle(*engine);
  KAKEYA_ASSIGN_OR_RETURN(Conversation conversation,
                          Conversation::Create(engine.get(), {.system = flags.system,
                                                              .session = flags.kv.ToOptions(),
                                                              .now = LocalTime}));
  CatchInterrupt();
  const bool interactive = isatty(STDIN_FILENO) != 0;
  if (interactive) PrintErr("Type a message, or /help.\n");

  Status output;
  GenerateOptions options = flags.sampling.ToOptions();
  options.on_text = [&](std::string_view text) {
    if (output.ok()) output = Print(text);
  };
  options.interrupted = [&] { return Interrupted() || !output.ok(); };
  ProgressLine progress("Reading");
  options.on_prefill = [&](int64_t done, int64_t total) {
    progress.Show(done, total);
    if (done == total) progress.Clear();
  };

  bool warned_of_bos = false;
  bool warned_of_restores = false;
  std::string attachment;
  int exit_code = kExitOk;
  ChatReader reader(&std::cin);
  const auto before_line = [interactive](bool continues) {
    if (interactive) PrintErr(continues ? ". " : "> ");
  };
  while (const std::optional<ChatEntry> entry = reader.Next(before_line)) {
    if (entry->command == "/exit" && entry->argument.empty()) break;
    Status status;
    if (entry->is_command()) {
      status = Command(*entry, &conversation, &attachment);
    } else {
      status = CheckPrompt(entry->message);
      if (status.ok()) status = Answer(entry->message, options, &conversation, &attachment);
      KAKEYA_RETURN_IF_ERROR(output);
      if (status.ok()) KAKEYA_RETURN_IF_ERROR(Print("\n"));
      if (!warned_of_bos) warned_of_bos = WarnOfRepeatedBos(conversation.repeated_bos());
      if (!warned_of_restores) warned_of_restores = WarnOfFailedRestores(conversation.session());
    }
    if (!status.ok()) exit_code = Fail(status);
    ClearInterrupt();
  }
  if (Interrupted()) return kExitInterrupted;
  return interactive ? kExitOk
                     : exit_code;  // a person has seen the errors; a script needs the code
}

}  // namespace

void RegisterChat(CLI::App* app, int* exit_code) {
  CLI::App* verb = app->add_subcommand("chat", "Talk with a model over its chat template");
  auto flags = std::make_shared<ChatFlags>();
  flags->sampling.max_tokens = 1024;
  flags->model.Register(verb);
  verb->add_option("--system", flags->system, "A system message to begin with")->type_name("TEXT");
  flags->sampling.Register(verb);
  flags->kv.Register(verb);
  verb->footer(std::string("At the prompt:\n") + kHelp +
               "When stdin is not a terminal, each line of it is a message.");
  verb->callback([flags, exit_code] {
    const Result<int> result = Run(*flags);
    *exit_code = result.ok() ? *result : Fail(result.status());
  });
}

}  // namespace kakeya::cli
