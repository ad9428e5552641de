// The proposer once more for tests, as its formulas read: double precision, one token after the
// other, nothing shared with the engine's operators.
#ifndef KAKEYA_PROPOSER_REFERENCE_PROPOSER_H_
#define KAKEYA_PROPOSER_REFERENCE_PROPOSER_H_

#include <cmath>
#include <cstdint>
#include <vector>

#include "backend/restore/reference_recurrence.h"
#include "proposer/proposer_test_util.h"

namespace kakeya::test {

using Row = std::vector<double>;
using Rows = std::vector<Row>;

inline Row Times(const PackedMatrix& m, const Row& x) {
  Row out(static_cast<size_t>(m.rows()));
  for (int64_t r = 0; r < m.rows(); ++r) {
    for (int64_t c = 0; c < m.cols(); ++c) out[r] += At(m, r, c) * x[c];
  }
  return out;
}

// x / rms(x), times the weight unless that is null.
inline Row Normed(const Row& x, const float* weight, double eps) {
  double squares = 0;
  for (const double value : x) squares += value * value;
  const double inverse = 1 / std::sqrt(squares / static_cast<double>(x.size()) + eps);
  Row out = x;
  for (size_t i = 0; i < x.size(); ++i) {
    out[i] *= inverse * (weight == nullptr ? 1.0 : double{weight[i]});
  }
  return out;
}

inline void AddTo(Row* x, const Row& y) {
  for (size_t i = 0; i < x->size(); ++i) (*x)[i] += y[i];
}

class ReferenceProposer {
 public:
  ReferenceProposer(const Model& verifier, const RestorerModel& model)
      : verifier_(verifier), model_(model), p_(model.config.proposer) {}

  // Final states (ids.size(), d). REQUIRES: whole chunks.
  Rows States(const std::vector<int32_t>& ids) const {
    Rows x;
    for (const int32_t id : ids) x.push_back(Times(model_.embed_in, Embedded(id)));
    for (size_t p = 0; p < ids.size(); ++p) AddRecurrence(ids, static_cast<int>(p), &x[p]);
    for (const ProposerLayer& layer : model_.layers) Layer(layer, &x);
    for (Row& row : x) row = Normed(row, model_.final_norm.as<float>(), p_.rms_norm_eps);
    return x;
  }
  Row Embedded(int32_t id) const {
    Row row;
    for (int64_t c = 0; c < verifier_.weights.embedding.cols(); ++c) {
      row.push_back(At(verifier_.weights.embedding, id, c));
    }
    return Normed(row, nullptr, p_.rms_norm_eps);
  }
  // Unquantised summaries (segments, dim) of the chunk whose states begin at `first`.
  Rows Summaries(const Rows& states, size_t first) const {
    const RestorerConfig::Summary& s = model_.config.summary;
    const int tokens = kChunk / s.segments;
    Rows out;
    for (int segment = 0; segment < s.segments; ++segment) {
      Row z(s.dim);
      for (int head = 0; head < s.pool_heads; ++head) {
        double sum = 0;
        for (int t = 0; t < tokens; ++t) {
          const Row& h = states[first + segment * tokens + t];
          const double weight = std::exp(Times(model_.summary_pool, h)[head]);
          const Row y = Times(model_.summary_proj, h);
          sum += weight;
          const int slice = s.dim / s.pool_heads;
          for (int i = head * slice; i < (head + 1) * slice; ++i) z[i] += weight * y[i];
        }
        const int slice = s.dim / s.pool_heads;
        for (int i = head * slice; i < (head + 1) * slice; ++i) z[i] /= sum;
      }
      out.push_back(z);
    }
    return out;
  }

 private:
  void AddRecurrence(const std::vector<int32_t>& ids, int p, Row* x) const {
    const RestorerConfig::Recurrence& config = model_.config.recurrence;
    if (!config.used()) return;
    const TokenRecurrence told = ReferenceRecurrence(config, ids, p);
    for (size_t l = 0; l < config.lengths.size(); ++l) {
      const auto row = static_cast<int64_t>(l) * config.buckets + told.buckets[l];
      const float* const count = model_.recurrence.count.as<float>() + row * p_.hidden;
      AddTo(x, Row(count, count + p_.hidden));
    }
    Row features;
    for (const int32_t id : told.followers) {
      for (int i = 0; i < model_.config.token_dim; ++i) {
        features.push_back(id == kNoToken ? 0 : Feature(id, i));
      }
    }
    AddTo(x, Times(model_.recurrence.next, features));
  }
  double Feature(int32_t id, int i) const {
    return double{model_.token_scales.as<float>()[id]} *
           model_.token_features.as<int16_t>()[id * model_.config.token_dim + i];
  }

  // Rotated by `position`, halves convention.
  Row Turned(const Row& x, int position) const {
    Row out = x;
    const int half = p_.head_dim / 2;
    for (int i = 0; i < half; ++i) {
      const double angle = position * std::pow(p_.rope_theta, -2.0 * i / p_.head_dim);
      out[i] = x[i] * std::cos(angle) - x[i + half] * std::sin(angle);
      out[i + half] = x[i + half] * std::cos(angle) + x[i] * std::sin(angle);
    }
    return out;
  }
  Row HeadOf(const Row& x, int head) const {
    return {x.begin() + head * p_.head_dim, x.begin() + (head + 1) * p_.head_dim};
  }

  void Layer(const ProposerLayer& layer, Rows* x) const {
    const double eps = p_.rms_norm_eps;
    Rows q, k, v;
    for (const Row& row : *x) {
      const Row h = Normed(row, layer.norm1.as<float>(), eps);
      q.push_back(Times(layer.q, h));
      k.push_back(Times(layer.k, h));
      v.push_back(Times(layer.v, h));
    }
    for (size_t i = 0; i < x->size(); ++i) {
      AddTo(&(*x)[i], Times(layer.o, Attend(layer, q[i], k, v, static_cast<int>(i))));
      const Row g = Normed((*x)[i], layer.norm2.as<float>(), eps);
      Row inner = Times(layer.gate, g);
      const Row up = Times(layer.up, g);
      for (size_t j = 0; j < inner.size(); ++j) inner[j] *= up[j] / (1 + std::exp(-inner[j]));
      AddTo(&(*x)[i], Times(layer.down, inner));
    }
  }
  Row Attend(const ProposerLayer& layer, const Row& q, const Rows& k, const Rows& v, int i) const {
    const double eps = p_.rms_norm_eps;
    const int own = i / kChunk * kChunk;
    Row out;
    for (int head = 0; head < p_.heads; ++head) {
      const Row query =
          Turned(Normed(HeadOf(q, head), layer.q_norm.as<float>(), eps), kChunk + i - own);
      Row sum(p_.head_dim);
      double total = 0;
      for (int j = std::max(0, own - kChunk); j < own + kChunk; ++j) {
        const Row key =
            Turned(Normed(HeadOf(k[j], head), layer.k_norm.as<float>(), eps), kChunk + j - own);
        double dot = 0;
        for (int d = 0; d < p_.head_dim; ++d) dot += query[d] * key[d];
        const double weight = std::exp(dot / std::sqrt(double{1} * p_.head_dim));
        total += weight;
        for (int d = 0; d < p_.head_dim; ++d) sum[d] += weight * v[j][head * p_.head_dim + d];
      }
      for (const double value : sum) out.push_back(value / total);
    }
    return out;
  }

  const Model& verifier_;
  const RestorerModel& model_;
  const RestorerConfig::Proposer& p_;
};

}  // namespace kakeya::test

#endif  // KAKEYA_PROPOSER_REFERENCE_PROPOSER_H_
