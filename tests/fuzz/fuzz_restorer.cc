// libFuzzer: any bytes as the config.json of a restorer. What is accepted lies within the bounds
// that sizes are computed from; what is refused is refused in one line.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "proposer/restorer_config.h"

namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace kakeya;
  const Result<Json> json = ParseJson({reinterpret_cast<const char*>(data), size});
  if (!json.ok()) return 0;
  const Result<RestorerConfig> config = ParseRestorerConfig(*json);
  if (!config.ok()) {
    const std::string& message = config.status().message();
    Require(!message.empty() && message.size() < 1000 && message.find('\n') == message.npos);
    return 0;
  }
  Require(config->proposer.layers >= 1 && config->proposer.attention_size() >= 8);
  Require(config->proposer.head_dim % 8 == 0 && config->proposer.head_dim <= kMaxHeadDim);
  Require(config->restore_inputs() >= 1 && config->restore_inputs() <= kMaxRestoreInputs);
  Require(kChunk % config->summary.segments == 0 && config->summary.dim <= kMaxSummaryDim);
  Require(config->summary.dim % config->summary.pool_heads == 0);
  const RestorerConfig::Recurrence& recurrence = config->recurrence;
  if (recurrence.used()) {
    const std::vector<int>& lengths = recurrence.lengths;
    Require(lengths.size() <= kMaxRecurrenceLengths && lengths.front() >= 1);
    Require(lengths.back() <= kMaxRecurrenceLength);
    for (size_t i = 1; i < lengths.size(); ++i) Require(lengths[i - 1] < lengths[i]);
    Require(recurrence.buckets >= 2 && recurrence.buckets <= kMaxRecurrenceBuckets);
    Require(recurrence.next >= 1 && recurrence.next <= kMaxRecurrenceNext);
    Require(config->token_dim > 0);
  }
  Require(config->max_distance >= kChunk && config->max_distance % kChunk == 0);
  Require(config->verifier.heads % config->verifier.kv_heads == 0);
  return 0;
}
