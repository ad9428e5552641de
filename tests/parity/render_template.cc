// Renders chat templates for template_parity.py. Reads a JSON list of cases {"template",
// "messages", "tools", "add_generation_prompt", "variables", "bos_token", "eos_token"} from the
// file named on the command line and prints a JSON list of {"text", "segments": [[text, trusted],
// ...]} or {"error"}.
#include <cstdio>
#include <string>

#include "format/json.h"
#include "text/chat_template.h"

namespace kakeya {
namespace {

Json RenderCase(const Json& test) {
  const auto fail = [](const Status& status) { return Json{{"error", status.message()}}; };
  const auto text = [&](const char* key) { return test.value(key, std::string()); };
  const auto value = [&](const char* key, Json otherwise) {
    return test.contains(key) ? test[key] : otherwise;
  };
  const Result<ChatTemplate> parsed = ChatTemplate::Parse(text("template"));
  if (!parsed.ok()) return fail(parsed.status());
  ChatInput input;
  input.messages = value("messages", Json::array());
  input.tools = value("tools", nullptr);
  input.variables = value("variables", nullptr);
  input.add_generation_prompt = test.value("add_generation_prompt", false);
  input.bos_token = text("bos_token");
  input.eos_token = text("eos_token");
  std::tm now{};
  now.tm_year = 126;  // 2026-11-22, as template_parity.py has it
  now.tm_mon = 10;
  now.tm_mday = 22;
  now.tm_hour = 9;
  now.tm_wday = 0;
  now.tm_yday = 325;
  input.now = now;
  const auto segments = parsed->Render(input);
  if (!segments.ok()) return fail(segments.status());
  Json out{{"text", JoinSegments(*segments)}, {"segments", Json::array()}};
  for (const Segment& segment : *segments) {
    out["segments"].push_back(Json::array({segment.text, segment.trusted}));
  }
  return out;
}

int Main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: render_template CASES.json\n");
    return 2;
  }
  const Result<Json> cases = ReadJsonFile(argv[1]);
  if (!cases.ok()) {
    std::fprintf(stderr, "render_template: %s\n", cases.status().message().c_str());
    return 2;
  }
  Json out = Json::array();
  for (const Json& test : *cases) out.push_back(RenderCase(test));
  std::printf("%s\n", out.dump().c_str());
  return 0;
}

}  // namespace
}  // namespace kakeya

int main(int argc, char** argv) { return kakeya::Main(argc, argv); }
