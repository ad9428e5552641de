// kakeya VERB: parses the command line and hands over to the verb.
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <string>

#include "base/build_id.h"
#include "format/temporary_name.h"
#include "output.h"
#include "verbs.h"

namespace {

using kakeya::cli::Fail;

constexpr const char* kDescription =
    "Kakeya: an inference engine for language models whose memory does not grow with the "
    "conversation.\n"
    "\n"
    "Results go to stdout, progress and warnings to stderr. Exit codes: 0 done, 1 a claim failed,\n"
    "2 bad usage or input (one line says what and where), 130 stopped by Ctrl-C.\n"
    "\n"
    "  kakeya generate -m models/demo -p \"Once upon a time\" -n 64\n"
    "  kakeya chat -m models/demo\n"
    "  kakeya inspect -m models/demo\n"
    "  kakeya quantize models/demo demo-q8.gguf Q8_0\n"
    "  kakeya bench -m demo-q8.gguf --kv full,window\n"
    "  kakeya prove -m models/demo --lengths 1024,4096 -n 20 --html report.html";

bool HasVerb(const CLI::App& app, const std::string& name) {
  const auto verbs = app.get_subcommands([](const CLI::App* /*verb*/) { return true; });
  return std::any_of(verbs.begin(), verbs.end(),
                     [&](const CLI::App* verb) { return verb->get_name() == name; });
}

// A word of the command line without the place of a file: of PATH, -fPATH and --flag=PATH.
std::string WordWithoutPlace(const std::string& word) {
  size_t value = 0;
  if (word.starts_with("--")) {
    value = word.find('=') + 1;
  } else if (word.starts_with('-')) {
    value = std::min<size_t>(2, word.size());
  }
  return word.substr(0, value) + kakeya::cli::WithoutPlace(word.substr(value));
}

// The command line for a shell to read again, where the files lie.
std::string AsTyped(int argc, char** argv) {
  std::string line;
  for (int i = 0; i < argc; ++i) {
    const std::string word = WordWithoutPlace(argv[i]);
    const bool plain = !word.empty() && word.find_first_not_of(
                                            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                            "0123456789_-+=.,:/@%") == std::string::npos;
    if (i > 0) line += ' ';
    if (plain) {
      line += word;
      continue;
    }
    line += '\'';
    for (const char c : word) line += c == '\'' ? "'\\''" : std::string(1, c);
    line += '\'';
  }
  return line;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGXFSZ, SIG_IGN);  // a limit on files (ulimit -f) is an error like a full disk
  kakeya::RemoveTemporariesOnSignals();
  spdlog::set_default_logger(spdlog::stderr_logger_mt("kakeya"));  // stdout is for results
  spdlog::set_pattern("%n: %l: %v");
  CLI::App app(kDescription, "kakeya");
  app.set_version_flag("--version", "kakeya " KAKEYA_VERSION " (build " + kakeya::BuildId() + ")");
  app.require_subcommand(1);
  app.get_formatter()->column_width(32);
  int exit_code = kakeya::cli::kExitOk;
  kakeya::cli::RegisterGenerate(&app, &exit_code);
  kakeya::cli::RegisterChat(&app, &exit_code);
  kakeya::cli::RegisterTokenize(&app, &exit_code);
  kakeya::cli::RegisterInspect(&app, &exit_code);
  kakeya::cli::RegisterEval(&app, &exit_code);
  kakeya::cli::RegisterProve(&app, AsTyped(argc, argv), &exit_code);
  kakeya::cli::RegisterBench(&app, &exit_code);
  kakeya::cli::RegisterQuantize(&app, &exit_code);
  try {
    if (argc > 1 && argv[1][0] != '-' && !HasVerb(app, argv[1])) {
      return Fail(kakeya::InvalidArgument("there is no verb '{}' (try --help)", argv[1]));
    }
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    return Fail(kakeya::InvalidArgument("{} (try --help)", error.what()));
  } catch (const std::exception& error) {  // the system refused something; nothing of ours throws
    return Fail(kakeya::Unavailable("{}", error.what()));
  }
  return exit_code;
}
