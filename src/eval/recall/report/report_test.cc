#include "eval/recall/report/report.h"

#include <gtest/gtest.h>

#include <set>

#include "eval/recall/report/svg_chart.h"

namespace kakeya {
namespace {

// Two lengths, all arms, a task without counterfactual, names that want escaping.
RecallReport Sample() {
  RecallReport report;
  report.source = {.version = "1.2.3",
                   .build = "0123abcd",
                   .command = "kakeya prove -m 'a <b> & \"c\"'",
                   .model = "models/<demo>",
                   .restorer = "models/demo/restorer",
                   .haystack = "it's <text>",
                   .kv_type = "auto",
                   .restore_buffer = 7864320,
                   .threads = 2};
  report.options.tasks = {RecallTask::kSingle, RecallTask::kJson};
  report.options.lengths = {1024, 4096};
  report.options.n = 40;
  report.reach = 1270;
  report.restorer_bytes = 6'100'000;
  report.max_positions = 16384;
  std::vector<RecallRecord> records;
  for (const RecallTask task : report.options.tasks) {
    for (const int64_t length : report.options.lengths) {
      for (const RecallArm arm : AllArms()) {
        for (int64_t i = 0; i < report.options.n; ++i) {
          RecallRecord record;
          record.key = {task, length, arm, i};
          record.right = RoleOf(arm) != ArmRole::kMustFail && i > 0;
          record.depth = static_cast<double>(i) / static_cast<double>(report.options.n);
          record.distance = length - 40 * i;
          record.prompt_tokens = record.prefill_tokens = length;
          record.prefill_seconds = 0.5;
          record.decode_steps = 8;
          record.decode_seconds = 0.25;
          record.resident_bytes = static_cast<uint64_t>(1000 * length + i);
          record.history_bytes = static_cast<uint64_t>(80 * length);
          record.scratch_bytes = 5000;
          record.restored_vectors = Restores(arm) ? 100 : 0;
          record.phrasing = i % 2 == 0 ? "an <even> one" : "an odd one";
          record.machine = "A & B, 2 cores";
          records.push_back(record);
        }
      }
    }
  }
  report.rows = RowsOf(records, report.reach);
  report.machines = MachinesOf(records);
  report.skipped = {{RecallTask::kJson, 4096, RecallArm::kCounterfactual, "a <reason>"}};
  report.full_kv = {{1024, {5'000'000, "oracle"}}, {4096, {20'000'000, "allocated"}}};
  report.verdict = Judge(report.rows, report.options.lengths, {}, report.coupon_layers);
  return report;
}

TEST(RecallReportJsonTest, HasTheFieldsOfTheContract) {
  const Json json = ReportAsJson(Sample());
  EXPECT_EQ(json["verdict"], "holds");
  EXPECT_TRUE(json["coupon_layers"].is_array());
  EXPECT_EQ(json["window_reach_tokens"], 1270);
  ASSERT_EQ(json["rows"].size(), 2u * 2 * kRecallArms);
  std::set<std::string> seen;
  for (const Json& row : json["rows"]) {
    seen.insert(row["task"].get<std::string>() + row["length"].dump() +
                row["arm"].get<std::string>());
    for (const char* key : {"n", "recall", "ci_low", "ci_high", "kv_resident_bytes",
                            "history_bytes", "restored_vectors"}) {
      EXPECT_TRUE(row[key].is_number()) << key;
    }
    EXPECT_EQ(row["n"], 40);
    EXPECT_LE(row["ci_low"].get<double>(), row["recall"].get<double>());
    EXPECT_GE(row["ci_high"].get<double>(), row["recall"].get<double>());
    EXPECT_EQ(row["restored_vectors"].get<int>() > 0,
              row["history_bytes"] > 0 && row["arm"] != "oracle" && row["arm"] != "window" &&
                  row["arm"] != "reinsert");
  }
  EXPECT_EQ(seen.size(), json["rows"].size());  // one row per (task, length, arm)
}

TEST(RecallReportJsonTest, NestsWhatIsSplit) {
  const Json json = ReportAsJson(Sample());
  const Json& row = json["rows"][1];  // single, 1024, restored
  EXPECT_EQ(row["arm"], "restored");
  ASSERT_EQ(row["by_depth"].size(), 10u);
  int64_t n = 0;
  for (const Json& bin : row["by_depth"]) n += bin["n"].get<int64_t>();
  EXPECT_EQ(n, 40);
  EXPECT_EQ(row["by_depth"][0]["recall"], 0.75);  // 3 of 4: the first was wrong
  EXPECT_EQ(row["beyond_reach"]["n"], 0);
  EXPECT_TRUE(row["beyond_reach"]["recall"].is_null());
  EXPECT_EQ(row["paired_to_oracle"]["difference"], 0);
  EXPECT_EQ(row["paired_to_oracle"]["n10"], 0);
  EXPECT_TRUE(json["rows"][0]["paired_to_oracle"].is_null());
  const Json& far = json["rows"][kRecallArms];  // single, 4096, oracle
  EXPECT_EQ(far["beyond_reach"]["n"].get<int>() + far["within_reach"]["n"].get<int>(), 40);
  EXPECT_GT(far["beyond_reach"]["n"], 0);
  EXPECT_EQ(far["kv_resident_bytes"], 4096039);
  EXPECT_EQ(far["kv_full_bytes"], 20000000);
  EXPECT_NEAR(far["decode_ms_per_token"].get<double>(), 31.25, 1e-9);
}

TEST(RecallReportJsonTest, NamesEverySettingAndEveryReason) {
  RecallReport report = Sample();
  report.coupon_layers = {1};
  report.verdict = Judge(report.rows, report.options.lengths, {}, report.coupon_layers);
  report.options.session.restore.chunks = kAllChunks;
  const Json json = ReportAsJson(report);
  EXPECT_EQ(json["verdict"], "invalid");
  EXPECT_EQ(json["coupon_layers"], Json({1}));
  EXPECT_EQ(json["reasons"].size(), 1u);
  EXPECT_EQ(json["settings"]["restore_chunks"], "all");
  EXPECT_EQ(json["settings"]["arms"].size(), static_cast<size_t>(kRecallArms));
  EXPECT_EQ(json["skipped"][0]["reason"], "a <reason>");
  EXPECT_EQ(json["lengths"][1]["kv_full_source"], "allocated");
}

TEST(RecallReportJsonTest, SaysWhatRanWhereAndByWhichPhrasing) {
  RecallReport report = Sample();
  const Json json = ReportAsJson(report);
  const Json& settings = json["settings"];
  EXPECT_EQ(settings["build"], "0123abcd");
  EXPECT_EQ(settings["restore_buffer"], 7864320);
  EXPECT_EQ(settings["prefill_chunk"], 512);
  EXPECT_EQ(settings["threads"], 2);
  ASSERT_EQ(settings["machines"].size(), 1u);
  EXPECT_EQ(settings["machines"][0], Json({{"name", "A & B, 2 cores"}, {"runs", 1760}}));
  const Json& phrasings = json["rows"][1]["by_phrasing"];
  ASSERT_EQ(phrasings.size(), 2u);
  EXPECT_EQ(phrasings[0]["phrasing"], "an <even> one");
  EXPECT_EQ(phrasings[0]["n"], 20);
  EXPECT_EQ(phrasings[0]["recall"], 0.95);
  EXPECT_EQ(phrasings[1]["recall"], 1);
  EXPECT_EQ(json["rows"][1]["held_bytes"], 1024 * 1080 + 39);
  EXPECT_EQ(json["rows"][1]["scratch_bytes"], 5000);
  EXPECT_EQ(json["restorer_bytes"], 6'100'000);
  EXPECT_NE(ReportAsText(report).find("the restorer's parameters: 6.1 MB"), std::string::npos);
  EXPECT_EQ(ReportAsText(report).find(kMachinesDiffer), std::string::npos);
  report.machines["Another, 8 cores"] = 3;
  EXPECT_NE(ReportAsText(report).find("Another, 8 cores (3 runs)"), std::string::npos);
  EXPECT_NE(ReportAsText(report).find(kMachinesDiffer), std::string::npos);
  EXPECT_NE(ReportAsHtml(report).find(kMachinesDiffer), std::string::npos);
}

TEST(RecallReportTest, SaysHowManyPagesFailedWhereSomeDid) {
  RecallReport report = Sample();
  EXPECT_EQ(ReportAsText(report).find("gave no numbers"), std::string::npos);
  EXPECT_EQ(ReportAsHtml(report).find("gave no numbers"), std::string::npos);
  report.rows[1].failed_pages = 17;
  EXPECT_NE(ReportAsText(report).find("gave no numbers for 17 pages"), std::string::npos);
  EXPECT_NE(ReportAsHtml(report).find("gave no numbers for 17 pages"), std::string::npos);
}

TEST(RecallReportTextTest, EndsWithTheVerdict) {
  const std::string text = ReportAsText(Sample());
  EXPECT_NE(text.find("single at 1024 tokens (full K/V: 5 MB)"), std::string::npos) << text;
  EXPECT_NE(text.find("counterfactual   skipped: a <reason>"), std::string::npos) << text;
  EXPECT_NE(text.find("verdict: holds (1024 holds, 4096 holds)\n"), std::string::npos) << text;
}

// Opens and closes every element of a page, and says what is wrong with it; empty when nothing is.
std::string MarkupFault(const std::string& page) {
  const std::set<std::string> empty_elements = {"meta"};
  std::vector<std::string> open;
  size_t at = page.find('\n') + 1;  // past the doctype
  while ((at = page.find('<', at)) != std::string::npos) {
    const size_t end = page.find('>', at);
    if (end == std::string::npos) return "a tag has no end";
    std::string tag = page.substr(at + 1, end - at - 1);
    at = end + 1;
    if (std::count(tag.begin(), tag.end(), '"') % 2 != 0) return "quotes in <" + tag + ">";
    if (tag.find('<') != std::string::npos) return "< in <" + tag + ">";
    const std::string name = tag.substr(0, tag.find_first_of(" /", 1));
    if (tag[0] == '/') {
      if (open.empty() || open.back() != tag.substr(1)) return "<" + tag + "> closes nothing";
      open.pop_back();
    } else if (tag.back() != '/' && empty_elements.count(name) == 0) {
      open.push_back(name);
      if (name == "style") at = page.find("</style>", at);
    }
  }
  return open.empty() ? "" : "<" + open.back() + "> stays open";
}

TEST(RecallReportHtmlTest, IsWellFormed) {
  EXPECT_EQ(MarkupFault("\n<p>a</p>"), "");
  EXPECT_NE(MarkupFault("\n<p><b>a</p></b>"), "");
  EXPECT_NE(MarkupFault("\n<p>"), "");
  const std::string page = ReportAsHtml(Sample());
  EXPECT_EQ(page.rfind("<!doctype html>\n", 0), 0u);
  EXPECT_EQ(MarkupFault(page), "");
  EXPECT_EQ(page.find("nan"), std::string::npos);
  EXPECT_EQ(page.find("-inf"), std::string::npos);
}

TEST(RecallReportHtmlTest, NeedsNothingFromElsewhere) {
  const std::string page = ReportAsHtml(Sample());
  for (const char* word : {"http", "<script", "<link", "src=", "url(", "@import", "<img", "href"}) {
    EXPECT_EQ(page.find(word), std::string::npos) << word;
  }
  EXPECT_NE(page.find("prefers-color-scheme:dark"), std::string::npos);
}

TEST(RecallReportHtmlTest, ShowsPlotsTablesArmsAndCommand) {
  const std::string page = ReportAsHtml(Sample());
  for (const char* word :
       {"Arms that must not recall", "restored by depth of the needle", "K/V memory",
        "Reading the prompt", "Generating the answer", "single at 4096 tokens", "The claim holds.",
        "kakeya prove -m &#39;a &lt;b&gt; &amp; &quot;c&quot;&#39;", "models/&lt;demo&gt;",
        "it&#39;s &lt;text&gt;", "a &lt;reason&gt;"}) {
    EXPECT_NE(page.find(word), std::string::npos) << word;
  }
  EXPECT_EQ(page.find("<demo>"), std::string::npos);
  for (const RecallArm arm : AllArms()) {
    EXPECT_NE(page.find(EscapeHtml(Meaning(arm))), std::string::npos) << NameOf(arm);
  }
}

TEST(RecallReportHtmlTest, StandsWithOneLengthAndFewArms) {
  RecallReport report = Sample();
  report.options.tasks = {RecallTask::kSingle};
  report.options.lengths = {1024};
  report.options.arms = {RecallArm::kWindow};
  report.rows = {*FindRow(report.rows, RecallTask::kSingle, 1024, RecallArm::kWindow)};
  report.full_kv = {{1024, {0, "not allocated"}}};
  report.verdict = Judge(report.rows, report.options.lengths, {}, {});
  const std::string page = ReportAsHtml(report);
  EXPECT_EQ(MarkupFault(page), "");
  EXPECT_EQ(page.find("nan"), std::string::npos);
  EXPECT_NE(page.find("arm restored was not run"), std::string::npos);
  EXPECT_NE(page.find("Not judged"), std::string::npos);
  EXPECT_EQ(page.find("The claim fails"), std::string::npos);
  EXPECT_EQ(ReportAsJson(report)["verdict"], "fails");
  EXPECT_EQ(ReportAsJson(report)["judged"], false);
}

TEST(SvgChartTest, ChoosesRoundTicks) {
  EXPECT_EQ(RoundTicks(1), (std::vector<double>{0, 0.2, 0.4, 0.2 * 3, 0.8, 1}));
  EXPECT_EQ(RoundTicks(7.2), (std::vector<double>{0, 2, 4, 6, 8}));
  EXPECT_EQ(DecadeTicks(50, 20000), (std::vector<double>{100, 1000, 10000}));
  EXPECT_EQ(DecadeTicks(200, 900), (std::vector<double>{200, 900}));
}

TEST(SvgChartTest, WritesBytesForPeople) {
  EXPECT_EQ(BytesText(0), "0 B");
  EXPECT_EQ(BytesText(999), "999 B");
  EXPECT_EQ(BytesText(1536), "1.5 kB");
  EXPECT_EQ(BytesText(999999), "1.0 MB");
  EXPECT_EQ(BytesText(1e6), "1 MB");
  EXPECT_EQ(BytesText(123456789), "123 MB");
}

}  // namespace
}  // namespace kakeya
