// What one run of one prompt in one arm came to: a line of the journal, and the only thing that
// reports are made of.
#ifndef KAKEYA_EVAL_RECALL_RUN_RECORD_H_
#define KAKEYA_EVAL_RECALL_RUN_RECORD_H_

#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "base/status.h"
#include "eval/recall/prompts/prompt.h"
#include "eval/recall/run/arm.h"
#include "format/json.h"

namespace kakeya {

// Which run it is.
struct RecallKey {
  RecallTask task = RecallTask::kSingle;
  int64_t length = 0;
  RecallArm arm = RecallArm::kOracle;
  int64_t prompt = 0;  // of n

  bool operator==(const RecallKey&) const = default;
  bool operator<(const RecallKey& other) const {
    return std::tie(task, length, arm, prompt) <
           std::tie(other.task, other.length, other.arm, other.prompt);
  }
};

struct RecallRecord {
  RecallKey key;
  bool right = false;
  double depth = 0;           // of the prompt, as asked
  int64_t distance = 0;       // tokens between the last needle's end and the first question
  int64_t prompt_tokens = 0;  // before the last answer
  int64_t prefill_tokens = 0;
  double prefill_seconds = 0;
  int64_t decode_steps = 0;
  double decode_seconds = 0;
  // As the session's allocator counted them, after the answer; peak: at most, with the block in
  // flight.
  uint64_t resident_bytes = 0;
  uint64_t peak_bytes = 0;
  uint64_t history_bytes = 0;
  uint64_t scratch_bytes = 0;
  int64_t restored_pages = 0;  // one chunk in one layer and KV head each
  int64_t restored_vectors = 0;
  int64_t failed_pages = 0;
  int64_t reinserted_chunks = 0;     // that kReinsert might put back
  std::vector<int> coupon_layers;    // layers that kept what the policy evicts
  std::vector<std::string> answers;  // one per turn
  std::vector<std::string> expected;
  std::string phrasing;  // RecallPrompt::phrasing
  std::string machine;   // that it ran on

  bool operator==(const RecallRecord&) const = default;
};

std::vector<RecallTask> AllTasks();

Json ToJson(const RecallRecord& record);
// Errors: Corrupt, naming the key.
Result<RecallRecord> RecordFromJson(const Json& json);

}  // namespace kakeya

#endif  // KAKEYA_EVAL_RECALL_RUN_RECORD_H_
