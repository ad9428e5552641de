#include "eval/recall/report/plots.h"
#include "eval/recall/report/report.h"
#include "eval/recall/report/report_style.h"
#include "eval/recall/report/svg_chart.h"

namespace kakeya {
namespace {

std::string Cell(const std::string& text) { return "<td>" + EscapeHtml(text) + "</td>"; }

std::string Share(const RecallCount& count) {
  const std::optional<double> recall = count.recall();
  return recall ? fmt::format("{:.3f}", *recall) : std::string("-");
}

std::string TableRow(const RecallRow& row) {
  const Interval interval = row.count.interval();
  std::string paired = "-";
  if (row.pairs) {
    const PairedDifference d = DifferenceOf(*row.pairs);
    paired =
        fmt::format("{:+.3f} ({:+.3f} to {:+.3f})", d.difference, d.interval.low, d.interval.high);
  }
  const std::string beyond =
      row.beyond_reach.n == 0
          ? std::string("-")
          : fmt::format("{} (n = {})", Share(row.beyond_reach), row.beyond_reach.n);
  return "<tr>" + Cell(NameOf(row.arm)) + Cell(std::to_string(row.count.n)) +
         Cell(Share(row.count)) +
         Cell(fmt::format("{:.3f} to {:.3f}", interval.low, interval.high)) + Cell(paired) +
         Cell(beyond) + Cell(BytesText(static_cast<double>(row.resident_bytes))) +
         Cell(BytesText(static_cast<double>(row.history_bytes))) +
         Cell(BytesText(static_cast<double>(row.held_bytes))) +
         Cell(BytesText(static_cast<double>(row.scratch_bytes))) +
         Cell(std::to_string(row.restored_vectors)) +
         Cell(fmt::format("{:.3f}", row.prefill_ms_per_token)) +
         Cell(fmt::format("{:.2f}", row.decode_ms_per_token)) + "</tr>\n";
}

std::string Table(const RecallReport& report, RecallTask task, int64_t length) {
  std::string out = fmt::format("<h3>{} at {} tokens</h3>\n", NameOf(task), length);
  const auto full = report.full_kv.find(length);
  if (full != report.full_kv.end() && full->second.bytes > 0) {
    out += fmt::format("<p class=\"dim\">Full K/V: {} at most ({}).</p>\n",
                       BytesText(static_cast<double>(full->second.bytes)),
                       EscapeHtml(full->second.source));
  }
  out +=
      "<div class=\"scroll\"><table><tr><th>arm</th><th>n</th><th>recall</th><th>95 % "
      "interval</th><th>minus oracle, paired</th><th>beyond reach</th><th>K/V resident</th>"
      "<th>history</th><th>both</th><th>scratch</th><th>vectors restored</th><th>ms/token, "
      "prefill</th><th>ms/token, "
      "decode</th></tr>\n";
  for (const RecallRow& row : report.rows) {
    if (row.task == task && row.length == length) out += TableRow(row);
  }
  out += "</table></div>\n";
  for (const RecallRow& row : report.rows) {
    if (row.task != task || row.length != length || row.failed_pages == 0) continue;
    out += fmt::format("<p>{}: the restorer gave no numbers for {} pages.</p>\n", NameOf(row.arm),
                       row.failed_pages);
  }
  for (const SkippedArm& skipped : report.skipped) {
    if (skipped.task != task || skipped.length != length) continue;
    out += fmt::format("<p class=\"dim\">{} was skipped: {}.</p>\n", NameOf(skipped.arm),
                       EscapeHtml(skipped.reason));
  }
  return out;
}

std::string VerdictBox(const RecallReport& report) {
  const RecallVerdict& verdict = report.verdict;
  std::string claim = fmt::format("The claim {}.", NameOf(verdict.verdict));
  if (verdict.verdict == Verdict::kInvalid)
    claim = "The claim can't be judged: this run is invalid.";
  if (!verdict.judged) claim = "Not judged: not all that the claim needs was run.";
  std::string out = fmt::format("<div class=\"verdict {}\"><b>{}</b>",
                                verdict.judged ? NameOf(verdict.verdict) : "open", claim);
  for (const LengthVerdict& judged : verdict.by_length) {
    out += fmt::format(" {}: {}.", judged.length, Heading(judged));
  }
  if (!verdict.reasons.empty()) {
    out += "<ul>";
    for (const std::string& reason : verdict.reasons) out += "<li>" + EscapeHtml(reason) + "</li>";
    out += "</ul>";
  }
  return out + "</div>\n";
}

std::string Introduction(const RecallReport& report) {
  const SessionOptions& session = report.options.session;
  return fmt::format(
      "<p>A model reads a text in which facts are hidden, and is asked for them. Every layer keeps "
      "exact keys and values of the first {} positions and of a window of the last {} alone (whole "
      "chunks of {} are evicted); each query may attend to {} evicted chunks that a proposer "
      "reconstructs from their token ids. The claim: this recalls what the window has lost, as "
      "well "
      "as the same model with its whole past, and it does so by that reconstruction. The answer "
      "must vanish where the reconstruction is spoiled, and follow it where it is edited.</p>\n"
      "<p class=\"dim\">Layers of the restored session that kept exact K/V of evicted positions: "
      "{}. Through the windows of all layers information can travel {} tokens; prompts whose "
      "needle "
      "is farther back are counted apart (beyond reach). Every needle ends at least {} tokens "
      "before "
      "the question. Answers are generated freely and greedily; right is an answer whose first "
      "line "
      "holds every value, in order and each as a whole number, no other before it.</p>\n",
      session.kv.sink, session.kv.window, kChunk, ChunksText(session.restore.chunks),
      report.coupon_layers.empty() ? std::string("none")
                                   : fmt::format("{} of them", report.coupon_layers.size()),
      report.reach, session.kv.window + kChunk);
}

std::string Arms() {
  std::string out = "<h2>What the arms are</h2>\n<div class=\"scroll\"><table>\n";
  for (const RecallArm arm : AllArms()) {
    out += fmt::format("<tr><td>{}</td><td class=\"text\">{}</td></tr>\n", NameOf(arm),
                       EscapeHtml(Meaning(arm)));
  }
  out += "</table></div>\n";
  return out +
         "<p>The verdict <i>holds</i> needs, at every length of the single needle: oracle at least "
         "0.90, restored at least oracle - 0.05, counterfactual at least oracle - 0.15, and "
         "window, "
         "foreign, untrained, shuffled and without-needle at most 0.05 each. An arm that was not "
         "run "
         "can't hold. Where full K/V is beyond the model's context, a perfect oracle is "
         "assumed.</p>\n";
}

std::string Provenance(const RecallReport& report) {
  const RecallSource& source = report.source;
  return fmt::format(
      "<h2>How this was made</h2>\n<pre>{}</pre>\n<p class=\"dim\">kakeya {}, build {}; model {}; "
      "restorer {}; "
      "text: {}; seed {}; {} prompts per task and length; element type of the cache: {}; "
      "restore buffer: {} bytes; prompts read by {} tokens; {} threads. Measured on: {}.{} "
      "Intervals: "
      "Wilson score, 95 %; paired differences: {}. K/V bytes are what the session's allocator "
      "held, "
      "with the restore buffer, at most over the prompts; history is what grows with the text "
      "(token "
      "ids, codes, summaries), both their sum; scratch is what activations take, of fixed size; "
      "the restorer's parameters "
      "take {} bytes beside all that; full K/V is the most that the prompts of a length "
      "take.</p>\n",
      EscapeHtml(source.command), EscapeHtml(source.version), EscapeHtml(source.build),
      EscapeHtml(source.model), source.restorer.empty() ? "none" : EscapeHtml(source.restorer),
      EscapeHtml(source.haystack), report.options.seed, report.options.n,
      EscapeHtml(source.kv_type), source.restore_buffer, report.options.session.prefill_block,
      source.threads, EscapeHtml(MachinesText(report)),
      report.machines.size() > 1 ? fmt::format(" <b>Note: {}.</b>", kMachinesDiffer) : "",
      kPairedMethod, report.restorer_bytes);
}

}  // namespace

std::string ReportAsHtml(const RecallReport& report) {
  std::string out =
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>Recall at bounded memory</title>\n<style>";
  out += kReportStyle;
  out += "</style>\n</head>\n<body>\n<h1>Recall at bounded memory</h1>\n";
  out += VerdictBox(report);
  out += Introduction(report);
  for (const RecallTask task : report.options.tasks) {
    out += fmt::format("<h2>Recall by length: {}</h2>\n<div class=\"charts\">\n", NameOf(task));
    out += RecallPlots(report, task);
    out += "</div>\n";
  }
  out += "<h2>Memory and time</h2>\n<div class=\"charts\">\n" + CostPlots(report) + "</div>\n";
  out += "<h2>Figures</h2>\n";
  for (const RecallTask task : report.options.tasks) {
    for (const int64_t length : report.options.lengths) out += Table(report, task, length);
  }
  out += Arms();
  out += Provenance(report);
  return out + "</body>\n</html>\n";
}

}  // namespace kakeya
