// The verbs of the command line. Each registers its flags with the parser and, when it is the one
// that was asked for, runs and stores its exit code.
#ifndef KAKEYA_APPS_VERBS_H_
#define KAKEYA_APPS_VERBS_H_

#include <CLI/CLI.hpp>
#include <string>

namespace kakeya::cli {

void RegisterGenerate(CLI::App* app, int* exit_code);
void RegisterChat(CLI::App* app, int* exit_code);
void RegisterTokenize(CLI::App* app, int* exit_code);
void RegisterInspect(CLI::App* app, int* exit_code);
void RegisterEval(CLI::App* app, int* exit_code);
void RegisterBench(CLI::App* app, int* exit_code);
void RegisterQuantize(CLI::App* app, int* exit_code);
// `command`: as it was typed, for the report.
void RegisterProve(CLI::App* app, const std::string& command, int* exit_code);

}  // namespace kakeya::cli

#endif  // KAKEYA_APPS_VERBS_H_
