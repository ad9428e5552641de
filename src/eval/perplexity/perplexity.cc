#include "eval/perplexity/perplexity.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "decode/prefill.h"
#include "session/timeline_of.h"

namespace kakeya {
namespace {

constexpr int64_t kLogitRows = 64;  // whose logits are held at once

// Sums over one window under one session.
struct WindowSum {
  double nll = 0;
  int64_t tokens = 0;
};

class Measurement {
 public:
  Measurement(Engine* engine, std::span<const int32_t> ids, const PerplexityOptions& options)
      : engine_(engine), ids_(ids), options_(options) {}

  Result<Perplexity> Run() {
    const auto total = static_cast<int64_t>(ids_.size());
    const int64_t context = options_.context;
    if (context < 2) return InvalidArgument("the context is {}, but must be at least 2", context);
    if (total < 2) return InvalidArgument("{} tokens are too few to measure anything", total);
    // A session that can't be had shows before anything has been read.
    for (const SessionOptions& session : options_.sessions) {
      KAKEYA_RETURN_IF_ERROR(Session::Create(engine_, session).status());
    }
    Perplexity out;
    out.rows.resize(options_.sessions.size());
    sums_.resize(options_.sessions.size());
    const int64_t last = total % context;
    to_read_ = (last == 1 ? total - 1 : total) * static_cast<int64_t>(options_.sessions.size());
    for (int64_t first = 0; first + 1 < total; first += context) {
      const std::span<const int32_t> window = ids_.subspan(first, std::min(context, total - first));
      ++out.windows;
      out.tokens += static_cast<int64_t>(window.size()) - 1;
      for (size_t s = 0; s < options_.sessions.size(); ++s) {
        KAKEYA_ASSIGN_OR_RETURN(const WindowSum sum, ReadWindow(s, window, &out.rows[s]));
        sums_[s].push_back(sum);
      }
    }
    for (size_t s = 0; s < sums_.size(); ++s) Finish(s, &out.rows[s]);
    return out;
  }

 private:
  Result<WindowSum> ReadWindow(size_t s, std::span<const int32_t> window, PerplexityRow* row) {
    const auto start = std::chrono::steady_clock::now();
    const SessionOptions& session_options = options_.sessions[s];
    KAKEYA_ASSIGN_OR_RETURN(Session session, Session::Create(engine_, session_options));
    KAKEYA_RETURN_IF_ERROR(session.Append(window));  // checks the ids and the context
    KAKEYA_ASSIGN_OR_RETURN(
        const Buffer logits,
        session.budget().Allocate(
            MemoryTag::kScratch,
            static_cast<size_t>(kLogitRows) * engine_->model().config.vocab_size * sizeof(float),
            "logits of a block"));
    WindowSum sum;
    const auto count = [&](const float* hidden, int64_t first, int64_t rows) -> Status {
      Count(hidden, window, first, rows, logits.as<float>(), &sum);
      if (!std::isfinite(sum.nll)) {
        return Corrupt("the model computes no numbers from token {} of the text on",
                       window.data() - ids_.data() + first);
      }
      read_ += rows;
      if (options_.progress) options_.progress(read_, to_read_);
      const bool stop = options_.interrupted && options_.interrupted();
      return stop ? Status(StatusCode::kCancelled, "stopped") : OkStatus();
    };
    KAKEYA_RETURN_IF_ERROR(
        ReadBlocks(engine_->context(), engine_->model(), window,
                   {.block = session_options.prefill_block, .after_block = count},
                   &session.budget(), &TimelineOf(&session)));
    const KvUsage usage = session.kv_usage();
    row->resident_bytes = std::max<uint64_t>(row->resident_bytes, usage.resident_bytes);
    row->history_bytes = std::max<uint64_t>(row->history_bytes, usage.history_bytes);
    row->failed_pages += session.restore_usage().failed;
    row->seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return sum;
  }

  // Adds what the hidden states of window[first, first + rows) say about the tokens after them.
  void Count(const float* hidden, std::span<const int32_t> window, int64_t first, int64_t rows,
             float* logits, WindowSum* sum) const {
    const ModelConfig& config = engine_->model().config;
    const int64_t vocabulary = config.vocab_size;
    const int64_t known = std::min(rows, static_cast<int64_t>(window.size()) - 1 - first);
    for (int64_t done = 0; done < known; done += kLogitRows) {
      const int64_t n = std::min(kLogitRows, known - done);
      Logits(engine_->context(), engine_->model(), hidden + done * config.hidden_size, n, logits);
      double nll[kLogitRows];
      ParallelFor(engine_->context().pool, n, [&](int64_t r) {
        nll[r] = NegativeLogLikelihood({logits + r * vocabulary, static_cast<size_t>(vocabulary)},
                                       window[first + done + r + 1]);
      });
      for (int64_t r = 0; r < n; ++r) sum->nll += nll[r];
      sum->tokens += n;
    }
  }

  double MeanNll(size_t s) const {
    double nll = 0;
    double tokens = 0;
    for (const WindowSum& sum : sums_[s]) {
      nll += sum.nll;
      tokens += static_cast<double>(sum.tokens);
    }
    return nll / tokens;
  }

  void Finish(size_t s, PerplexityRow* row) const {
    row->nll = MeanNll(s);
    row->perplexity = std::exp(row->nll);
    const double difference = row->nll - MeanNll(0);
    row->ratio = std::exp(difference);
    const size_t windows = sums_[s].size();
    if (s == 0 || windows < 2) return;
    // A window's weight is its share of the tokens.
    double tokens = 0;
    for (const WindowSum& sum : sums_[s]) tokens += static_cast<double>(sum.tokens);
    double variance = 0;
    for (size_t w = 0; w < windows; ++w) {
      const auto n = static_cast<double>(sums_[s][w].tokens);
      const double apart = (sums_[s][w].nll - sums_[0][w].nll) / n - difference;
      variance += n / tokens * apart * apart;
    }
    const double half = StudentT975(static_cast<int64_t>(windows) - 1) *
                        std::sqrt(variance / static_cast<double>(windows - 1));
    row->ratio_interval = {std::exp(difference - half), std::exp(difference + half)};
  }

  Engine* engine_;
  std::span<const int32_t> ids_;
  const PerplexityOptions& options_;
  std::vector<std::vector<WindowSum>> sums_;  // [session][window]
  int64_t read_ = 0;
  int64_t to_read_ = 0;
};

}  // namespace

double NegativeLogLikelihood(std::span<const float> logits, int32_t target) {
  const auto highest = static_cast<double>(*std::max_element(logits.begin(), logits.end()));
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - highest);
  return highest + std::log(sum) - static_cast<double>(logits[target]);
}

Result<Perplexity> MeasurePerplexity(Engine* engine, std::span<const int32_t> ids,
                                     const PerplexityOptions& options) {
  return Measurement(engine, ids, options).Run();
}

}  // namespace kakeya
