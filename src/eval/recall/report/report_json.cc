#include "eval/recall/report/report.h"

namespace kakeya {
namespace {

Json OrNull(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

Json ToJson(const RecallCount& count) {
  const Interval interval = count.interval();
  return {{"n", count.n},
          {"recall", OrNull(count.recall())},
          {"ci_low", interval.low},
          {"ci_high", interval.high}};
}

Json DepthsOf(const RecallRow& row) {
  Json bins = Json::array();
  for (int bin = 0; bin < kDepthBins; ++bin) {
    Json entry = {{"from", static_cast<double>(bin) / kDepthBins},
                  {"to", static_cast<double>(bin + 1) / kDepthBins}};
    entry.update(ToJson(row.by_depth[bin]));
    bins.push_back(std::move(entry));
  }
  return bins;
}

Json PhrasingsOf(const RecallRow& row) {
  Json phrasings = Json::array();
  for (const auto& [phrasing, count] : row.by_phrasing) {
    Json entry = {{"phrasing", phrasing}};
    entry.update(ToJson(count));
    phrasings.push_back(std::move(entry));
  }
  return phrasings;
}

Json PairedOf(const RecallRow& row) {
  if (!row.pairs) return nullptr;
  const PairedDifference difference = DifferenceOf(*row.pairs);
  return {{"n", row.pairs->n()},
          {"difference", difference.difference},
          {"ci_low", difference.interval.low},
          {"ci_high", difference.interval.high},
          {"n10", row.pairs->first_only},
          {"n01", row.pairs->second_only}};
}

Json ToJson(const RecallRow& row, const FullKvBytes* full) {
  Json json = {{"task", NameOf(row.task)}, {"length", row.length}, {"arm", NameOf(row.arm)}};
  json.update(ToJson(row.count));
  json.update(Json{
      {"kv_resident_bytes", row.resident_bytes},
      {"history_bytes", row.history_bytes},
      {"held_bytes", row.held_bytes},
      {"scratch_bytes", row.scratch_bytes},
      {"restored_vectors", row.restored_vectors},
      {"restored_pages", row.restored_pages},
      {"failed_pages", row.failed_pages},
      {"reinserted_chunks", row.reinserted_chunks},
      {"kv_peak_bytes", row.peak_bytes},
      {"kv_full_bytes", full != nullptr && full->bytes > 0 ? Json(full->bytes) : Json(nullptr)},
      {"prompt_tokens", row.mean_prompt_tokens},
      {"prefill_ms_per_token", row.prefill_ms_per_token},
      {"decode_ms_per_token", row.decode_ms_per_token},
      {"by_depth", DepthsOf(row)},
      {"by_phrasing", PhrasingsOf(row)},
      {"beyond_reach", ToJson(row.beyond_reach)},
      {"within_reach", ToJson(row.within_reach)},
      {"paired_to_oracle", PairedOf(row)}});
  return json;
}

Json SettingsOf(const RecallReport& report) {
  const RecallOptions& options = report.options;
  const RecallSource& source = report.source;
  const SessionOptions& session = options.session;
  Json tasks = Json::array();
  for (const RecallTask task : options.tasks) tasks.push_back(NameOf(task));
  Json arms = Json::array();
  for (const RecallArm arm : options.arms) arms.push_back(NameOf(arm));
  Json machines = Json::array();
  for (const auto& [machine, runs] : report.machines) {
    machines.push_back({{"name", machine}, {"runs", runs}});
  }
  const bool all = session.restore.chunks == kAllChunks;
  return {{"version", source.version},
          {"build", source.build},
          {"command", source.command},
          {"model", source.model},
          {"restorer", source.restorer.empty() ? Json(nullptr) : Json(source.restorer)},
          {"haystack", source.haystack},
          {"tasks", tasks},
          {"lengths", options.lengths},
          {"arms", arms},
          {"n", options.n},
          {"seed", options.seed},
          {"sink", session.kv.sink},
          {"window", session.kv.window},
          {"kv_type", source.kv_type},
          {"restore_chunks", all ? Json("all") : Json(session.restore.chunks)},
          {"restore_buffer", source.restore_buffer},
          {"prefill_chunk", session.prefill_block},
          {"threads", source.threads},
          {"machines", machines},
          {"min_distance_tokens", session.kv.window + kChunk},
          {"max_position_embeddings", report.max_positions},
          {"interval_method", "Wilson score, 95 %"},
          {"paired_method", kPairedMethod}};
}

}  // namespace

Json ReportAsJson(const RecallReport& report) {
  Json rows = Json::array();
  for (const RecallRow& row : report.rows) {
    const auto full = report.full_kv.find(row.length);
    rows.push_back(ToJson(row, full == report.full_kv.end() ? nullptr : &full->second));
  }
  Json lengths = Json::array();
  for (const LengthVerdict& judged : report.verdict.by_length) {
    const auto full = report.full_kv.find(judged.length);
    const bool known = full != report.full_kv.end() && full->second.bytes > 0;
    lengths.push_back(
        {{"length", judged.length},
         {"verdict", NameOf(judged.verdict)},
         {"judged", judged.judged},
         {"reasons", judged.reasons},
         {"kv_full_bytes", known ? Json(full->second.bytes) : Json(nullptr)},
         {"kv_full_source", full == report.full_kv.end() ? "" : full->second.source}});
  }
  Json skipped = Json::array();
  for (const SkippedArm& arm : report.skipped) {
    skipped.push_back({{"task", NameOf(arm.task)},
                       {"length", arm.length},
                       {"arm", NameOf(arm.arm)},
                       {"reason", arm.reason}});
  }
  return {{"verdict", NameOf(report.verdict.verdict)},
          {"judged", report.verdict.judged},
          {"reasons", report.verdict.reasons},
          {"coupon_layers", report.coupon_layers},
          {"window_reach_tokens", report.reach},
          {"restorer_bytes", report.restorer_bytes},
          {"rows", rows},
          {"lengths", lengths},
          {"skipped", skipped},
          {"settings", SettingsOf(report)}};
}

}  // namespace kakeya
