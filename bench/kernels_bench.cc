// Speed of the operators, beside the machine's own read bandwidth measured in the same run:
//   build/bin/kernels_bench [--threads=N] [Google Benchmark's flags]
// `share_of_read` is (weights or K/V bytes per second) / (read bandwidth). Small matrices stay in
// the caches between iterations and exceed 1; what matters for them is decode_step, which walks
// through all weights of a model as decoding does.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "backend/numerics.h"
#include "backend/ops.h"
#include "backend/quant_format.h"
#include "backend/read_memory.h"
#include "backend/restore/restore_ops.h"
#include "decode/sampler.h"
#include "proposer/history.h"

namespace kakeya {
namespace {

ThreadPool* g_pool = nullptr;
double g_read_bandwidth = 0;  // bytes per second
MemoryBudget g_budget;

// The best time of each of several steps over many rounds. Other programs only ever add to a time,
// and short steps find quiet moments.
class BestTimes {
 public:
  explicit BestTimes(size_t steps) : seconds_(steps, 1e9) {}
  template <typename Step>
  void Time(size_t index, const Step& step) {
    const auto start = std::chrono::steady_clock::now();
    step();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    seconds_[index] = std::min(seconds_[index], took.count());
  }
  double Sum() const {
    double sum = 0;
    for (const double s : seconds_) sum += s;
    return sum;
  }

 private:
  std::vector<double> seconds_;
};

// Bytes per second of reading 1 GiB with all threads, memory as weights get it, in steps as long as
// a product, in the pattern that is fastest.
double MeasureReadBandwidth(ThreadPool* pool) {
  constexpr size_t kBytes = size_t{1} << 30;
  constexpr size_t kSteps = 128;
  constexpr size_t kStepBytes = kBytes / kSteps;
  constexpr int kRounds = 5;
  const Buffer buffer = g_budget.Allocate(MemoryTag::kScratch, kBytes, "bandwidth").value();
  std::memset(buffer.data(), 1, buffer.size());
  double fastest = 0;
  for (const ReadPattern& pattern : kReadPatterns) {
    BestTimes best(kSteps);
    for (int round = 0; round < kRounds; ++round) {
      for (size_t step = 0; step < kSteps; ++step) {
        best.Time(step, [&] {
          benchmark::DoNotOptimize(
              ReadMemory(pool, {buffer.data() + step * kStepBytes, kStepBytes}, pattern));
        });
      }
    }
    fastest = std::max(fastest, static_cast<double>(kBytes) / best.Sum());
  }
  return fastest;
}

std::vector<float> RandomFloats(int64_t n) {
  static std::mt19937 rng(1);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> out(static_cast<size_t>(n));
  for (float& value : out) value = uniform(rng);
  return out;
}

// Bytes of `rows` random rows as a file holds them.
std::vector<std::byte> RandomRows(int64_t rows, int64_t cols, DType dtype) {
  std::vector<std::byte> out(static_cast<size_t>(rows) * RowBytes(dtype, cols));
  if (!IsBlockType(dtype)) {
    const std::vector<float> values = RandomFloats(rows * cols);
    for (int64_t i = 0; i < rows * cols; ++i) {
      numerics::Store(dtype, out.data(), i, values[static_cast<size_t>(i)]);
    }
    return out;
  }
  std::mt19937 rng(1);
  const uint16_t scale = numerics::ToF16(0.01f);
  for (std::byte& byte : out) byte = static_cast<std::byte>(rng());
  for (size_t at = 0; at < out.size(); at += static_cast<size_t>(BlockBytes(dtype))) {
    for (int i = 0; i < (HasMins(dtype) ? 2 : 1); ++i) {
      std::memcpy(out.data() + at + ScaleOffset(dtype) + 2 * i, &scale, sizeof(scale));
    }
  }
  return out;
}

PackedMatrix RandomMatrix(int64_t rows, int64_t cols, DType dtype) {
  // A few random rows, repeated: speed doesn't depend on the values.
  std::vector<std::byte> stored = RandomRows(std::min<int64_t>(rows, 64), cols, dtype);
  const size_t part = stored.size();
  stored.resize(static_cast<size_t>(rows) * RowBytes(dtype, cols));
  for (size_t at = part; at < stored.size(); at += part) {
    std::memcpy(stored.data() + at, stored.data(), std::min(part, stored.size() - at));
  }
  const TensorView view{dtype, {rows, cols}, stored.data()};
  return PackedMatrix::Pack({&view, 1}, &g_budget, g_pool, "weights").value();
}

void Report(benchmark::State& state, double bytes, double flops) {
  const auto rate = benchmark::Counter::kIsIterationInvariantRate;
  if (flops > 0) state.counters["flop/s"] = benchmark::Counter(flops, rate);
  state.counters["bytes/s"] = benchmark::Counter(bytes, rate);
  state.counters["share_of_read"] = benchmark::Counter(bytes / g_read_bandwidth, rate);
}

// The geometry of a dense model.
struct Geometry {
  int layers, hidden, heads, kv_heads, head_dim, ffn, vocabulary;
};
constexpr Geometry kDemo{10, 256, 4, 2, 64, 768, 4096};
constexpr Geometry kQwen06B{28, 1024, 16, 8, 128, 3072, 151936};

// Products of one shape over matrices of more bytes than any cache holds, as a forward pass meets
// them: each is read from memory.
void MatMulBench(benchmark::State& state, DType dtype) {
  constexpr size_t kBeyondCaches = size_t{400} << 20;
  const int64_t n = state.range(0);
  const int64_t k = state.range(1);
  const int rows = static_cast<int>(state.range(2));
  std::vector<PackedMatrix> matrices;
  for (size_t bytes = 0; bytes < kBeyondCaches; bytes += matrices.back().bytes()) {
    matrices.push_back(RandomMatrix(n, k, dtype));
  }
  const std::vector<float> x = RandomFloats(rows * k);
  std::vector<float> out(static_cast<size_t>(rows * n));
  size_t next = 0;
  for (auto _ : state) {
    MatMul({Device::kCpu, g_pool}, x.data(), rows, matrices[next], out.data());
    next = (next + 1) % matrices.size();
  }
  Report(state, static_cast<double>(matrices[0].bytes()), 2.0 * rows * n * k);
}
void MatMulShapes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"n", "k", "rows"})->UseRealTime();
  bench->ArgsProduct({{6144}, {1024}, {1, 2, 4, 8, 16, 32, 64, 512}});
  bench->ArgsProduct({{1024}, {3072}, {1, 16, 512}});
}
BENCHMARK_CAPTURE(MatMulBench, bf16, DType::kBF16)->Apply(MatMulShapes);
BENCHMARK_CAPTURE(MatMulBench, f16, DType::kF16)->Apply(MatMulShapes);
BENCHMARK_CAPTURE(MatMulBench, q8_0, DType::kQ8_0)->Apply(MatMulShapes);
BENCHMARK_CAPTURE(MatMulBench, q4_0, DType::kQ4_0)->Apply(MatMulShapes);
BENCHMARK_CAPTURE(MatMulBench, q4_1, DType::kQ4_1)->Apply(MatMulShapes);
BENCHMARK_CAPTURE(MatMulBench, q5_0, DType::kQ5_0)->Apply(MatMulShapes);
BENCHMARK_CAPTURE(MatMulBench, q5_1, DType::kQ5_1)->Apply(MatMulShapes);
BENCHMARK_CAPTURE(MatMulBench, iq4_nl, DType::kIQ4_NL)->Apply(MatMulShapes);
BENCHMARK_CAPTURE(MatMulBench, q4_k, DType::kQ4_K)->Apply(MatMulShapes);
BENCHMARK_CAPTURE(MatMulBench, q5_k, DType::kQ5_K)->Apply(MatMulShapes);
BENCHMARK_CAPTURE(MatMulBench, q6_k, DType::kQ6_K)->Apply(MatMulShapes);

// Laying the weights of a file out for the kernels, as loading a model does.
void PackBench(benchmark::State& state, DType dtype) {
  constexpr int64_t kRows = 6144;
  constexpr int64_t kCols = 1024;
  const std::vector<std::byte> stored = RandomRows(kRows, kCols, dtype);
  const TensorView view{dtype, {kRows, kCols}, stored.data()};
  for (auto _ : state) {
    benchmark::DoNotOptimize(PackedMatrix::Pack({&view, 1}, &g_budget, g_pool, "weights").value());
  }
  Report(state, static_cast<double>(stored.size()), 0);
}
BENCHMARK_CAPTURE(PackBench, bf16, DType::kBF16)->UseRealTime();
BENCHMARK_CAPTURE(PackBench, q8_0, DType::kQ8_0)->UseRealTime();
BENCHMARK_CAPTURE(PackBench, q4_0, DType::kQ4_0)->UseRealTime();
BENCHMARK_CAPTURE(PackBench, q4_1, DType::kQ4_1)->UseRealTime();
BENCHMARK_CAPTURE(PackBench, q5_0, DType::kQ5_0)->UseRealTime();
BENCHMARK_CAPTURE(PackBench, q5_1, DType::kQ5_1)->UseRealTime();
BENCHMARK_CAPTURE(PackBench, iq4_nl, DType::kIQ4_NL)->UseRealTime();
BENCHMARK_CAPTURE(PackBench, q4_k, DType::kQ4_K)->UseRealTime();
BENCHMARK_CAPTURE(PackBench, q5_k, DType::kQ5_K)->UseRealTime();
BENCHMARK_CAPTURE(PackBench, q6_k, DType::kQ6_K)->UseRealTime();

// All products of a model over `rows` tokens, the head's for `heads` of them.
class Products {
 public:
  Products(const Geometry& g, DType dtype) : g_(g) {
    const int width = g.heads * g.head_dim;
    for (int i = 0; i < g.layers; ++i) {
      matrices_.push_back(RandomMatrix(width + 2 * g.kv_heads * g.head_dim, g.hidden, dtype));
      matrices_.push_back(RandomMatrix(g.hidden, width, dtype));
      matrices_.push_back(RandomMatrix(g.ffn, g.hidden, dtype));
      matrices_.push_back(RandomMatrix(g.ffn, g.hidden, dtype));
      matrices_.push_back(RandomMatrix(g.hidden, g.ffn, dtype));
    }
    head_ = RandomMatrix(g.vocabulary, g.hidden, dtype);
  }

  // Room for `rows` tokens.
  void Prepare(int rows) {
    x_ = RandomFloats(rows * std::max<int64_t>(g_.ffn, g_.heads * g_.head_dim));
    out_.resize(static_cast<size_t>(rows) * static_cast<size_t>(g_.vocabulary));
  }
  size_t steps() const { return matrices_.size() + 1; }
  void Run(const OpContext& context, int rows, bool with_head, BestTimes* best) {
    const auto multiply = [&](size_t index, const PackedMatrix& w) {
      best->Time(index, [&] { MatMul(context, x_.data(), rows, w, out_.data()); });
    };
    for (size_t i = 0; i < matrices_.size(); ++i) multiply(i, matrices_[i]);
    if (with_head) multiply(matrices_.size(), head_);
  }
  double Bytes(bool with_head) const {
    double bytes = with_head ? static_cast<double>(head_.bytes()) : 0;
    for (const PackedMatrix& w : matrices_) bytes += static_cast<double>(w.bytes());
    return bytes;
  }
  double MultiplyAdds(bool with_head) const {
    double n =
        with_head ? static_cast<double>(head_.rows()) * static_cast<double>(head_.cols()) : 0;
    for (const PackedMatrix& w : matrices_) {
      n += static_cast<double>(w.rows()) * static_cast<double>(w.cols());
    }
    return n;
  }

 private:
  const Geometry g_;
  std::vector<PackedMatrix> matrices_;
  PackedMatrix head_;
  std::vector<float> x_, out_;
};

// The time of a model's products for L tokens relative to one: `relative`. Both are measured in
// turn, in one run. Beyond 64 rows the head is left out, as in prefill.
void VerifyBench(benchmark::State& state, DType dtype) {
  const int rows = static_cast<int>(state.range(0));
  const bool with_head = rows <= 64;
  Products products(kQwen06B, dtype);
  products.Prepare(rows);
  const OpContext context{Device::kCpu, g_pool};
  BestTimes one(with_head ? products.steps() : products.steps() - 1);
  BestTimes many = one;
  for (auto _ : state) {
    products.Run(context, 1, with_head, &one);
    products.Run(context, rows, with_head, &many);
  }
  const double seconds = many.Sum();
  state.counters["best_ms"] = seconds * 1e3;
  state.counters["relative"] = seconds / one.Sum();
  state.counters["tok/s"] = rows / seconds;
  state.counters["madd/s"] = products.MultiplyAdds(with_head) * rows / seconds;
  state.counters["share_of_read"] = products.Bytes(with_head) / seconds / g_read_bandwidth;
}
void VerifyRows(benchmark::internal::Benchmark* bench) {
  bench->ArgName("rows")->UseRealTime()->Unit(benchmark::kMillisecond);
  for (const int rows : {1, 2, 4, 8, 16, 32, 512}) bench->Arg(rows);
}
BENCHMARK_CAPTURE(VerifyBench, bf16, DType::kBF16)->Name("verify/bf16")->Apply(VerifyRows);
BENCHMARK_CAPTURE(VerifyBench, q8_0, DType::kQ8_0)->Name("verify/q8_0")->Apply(VerifyRows);
BENCHMARK_CAPTURE(VerifyBench, q4_0, DType::kQ4_0)->Name("verify/q4_0")->Apply(VerifyRows);
BENCHMARK_CAPTURE(VerifyBench, q4_1, DType::kQ4_1)->Name("verify/q4_1")->Apply(VerifyRows);
BENCHMARK_CAPTURE(VerifyBench, q5_0, DType::kQ5_0)->Name("verify/q5_0")->Apply(VerifyRows);
BENCHMARK_CAPTURE(VerifyBench, q5_1, DType::kQ5_1)->Name("verify/q5_1")->Apply(VerifyRows);
BENCHMARK_CAPTURE(VerifyBench, iq4_nl, DType::kIQ4_NL)->Name("verify/iq4_nl")->Apply(VerifyRows);
BENCHMARK_CAPTURE(VerifyBench, q4_k, DType::kQ4_K)->Name("verify/q4_k")->Apply(VerifyRows);
BENCHMARK_CAPTURE(VerifyBench, q6_k, DType::kQ6_K)->Name("verify/q6_k")->Apply(VerifyRows);

// K/V of all layers at some depth, in slabs of one chunk as a cache has them.
class ModelKv {
 public:
  ModelKv(const Geometry& g, int64_t depth, KvType type) : pages_(static_cast<size_t>(g.layers)) {
    const int64_t chunks = (depth + kChunk) / kChunk;  // room for one more token
    const size_t page = KvPageBytes(type, g.kv_heads, g.head_dim);
    const std::vector<float> rows = RandomFloats(int64_t{kChunk} * g.kv_heads * g.head_dim);
    for (int64_t i = 0; i < chunks; ++i) {
      slabs_.push_back(
          g_budget.Allocate(MemoryTag::kKv, pages_.size() * page, "K/V cache").value());
      for (size_t layer = 0; layer < pages_.size(); ++layer) {
        std::byte* const data = slabs_.back().data() + layer * page;
        pages_[layer].push_back({i * kChunk, data});
        if (i + layer > 0) {  // speed doesn't depend on the values
          std::memcpy(data, pages_[0][0].data, page);
          continue;
        }
        StoreKv({}, {rows.data(), rows.data(), kChunk, g.kv_heads, g.head_dim}, type, data, 0);
      }
    }
  }
  std::span<const KvPage> pages(size_t layer) const { return pages_[layer]; }

 private:
  std::vector<Buffer> slabs_;
  std::vector<std::vector<KvPage>> pages_;  // (layers, chunks)
};

std::vector<float> ScratchFor(const Geometry& g) {
  return std::vector<float>(
      static_cast<size_t>(AttentionScratchFloats(g.heads, g.kv_heads, g.head_dim)));
}

AttentionArgs ArgsFor(const ModelKv& kv, size_t layer, const Geometry& g,
                      std::span<const RowView> views, std::span<float> scratch, KvType type,
                      const float* q, float* out) {
  AttentionArgs args;
  args.q = q;
  args.out = out;
  args.rows = static_cast<int>(views.size());
  args.heads = g.heads;
  args.kv_heads = g.kv_heads;
  args.head_dim = g.head_dim;
  args.scale = 1.0f / std::sqrt(static_cast<float>(g.head_dim));
  args.kv_type = type;
  args.pages = kv.pages(layer);
  args.views = views;
  args.scratch = scratch;
  return args;
}

// Attention of all layers, each over its own pages: more bytes than any cache holds.
void AttentionBench(benchmark::State& state, const Geometry& g, KvType type) {
  const int64_t depth = state.range(0);
  const int rows = static_cast<int>(state.range(1));
  const ModelKv kv(g, depth + rows, type);
  const std::vector<float> q = RandomFloats(int64_t{rows} * g.heads * g.head_dim);
  std::vector<float> out(q.size());
  std::vector<float> scratch = ScratchFor(g);
  std::vector<RowView> views;
  for (int row = 0; row < rows; ++row) views.push_back({.end = depth + row + 1});
  const auto layers = static_cast<size_t>(g.layers);
  BestTimes best(layers);
  for (auto _ : state) {
    for (size_t layer = 0; layer < layers; ++layer) {
      best.Time(layer, [&] {
        Attention({Device::kCpu, g_pool},
                  ArgsFor(kv, layer, g, views, scratch, type, q.data(), out.data()));
      });
    }
  }
  const double seconds = best.Sum();
  const double bytes = static_cast<double>(depth) / kChunk * g.layers *
                       static_cast<double>(KvPageBytes(type, g.kv_heads, g.head_dim));
  state.counters["best_ms"] = seconds * 1e3;
  state.counters["bytes/s"] = bytes / seconds;
  state.counters["madd/s"] =
      2.0 * rows * static_cast<double>(depth) * g.layers * g.heads * g.head_dim / seconds;
  state.counters["share_of_read"] = bytes / seconds / g_read_bandwidth;
}
void AttentionShapes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"depth", "rows"})->UseRealTime()->Unit(benchmark::kMillisecond);
  bench->ArgsProduct({{4096, 16384}, {1, 8, 64}});
}
BENCHMARK_CAPTURE(AttentionBench, demo_bf16, kDemo, KvType::kBF16)->Apply(AttentionShapes);
BENCHMARK_CAPTURE(AttentionBench, demo_affine4, kDemo, KvType::kAffine4)->Apply(AttentionShapes);
BENCHMARK_CAPTURE(AttentionBench, bf16, kQwen06B, KvType::kBF16)->Apply(AttentionShapes);
BENCHMARK_CAPTURE(AttentionBench, f16, kQwen06B, KvType::kF16)->Apply(AttentionShapes);
BENCHMARK_CAPTURE(AttentionBench, affine8, kQwen06B, KvType::kAffine8)->Apply(AttentionShapes);
BENCHMARK_CAPTURE(AttentionBench, affine4, kQwen06B, KvType::kAffine4)->Apply(AttentionShapes);

// One token through all operators of a model, on one thread of control, as a forward pass does.
class Decoder {
 public:
  Decoder(const Geometry& g, int64_t depth, DType dtype)
      : g_(g), depth_(depth), kv_(g, depth, kKvType), scratch_(ScratchFor(g)) {
    const int width = g.heads * g.head_dim;
    const int kv_width = g.kv_heads * g.head_dim;
    for (int i = 0; i < g.layers; ++i) {
      layers_.push_back({RandomMatrix(width + 2 * kv_width, g.hidden, dtype),
                         RandomMatrix(g.hidden, width, dtype),
                         RandomMatrix(2 * g.ffn, g.hidden, dtype),
                         RandomMatrix(g.hidden, g.ffn, dtype)});
    }
    head_ = RandomMatrix(g.vocabulary, g.hidden, dtype);
    norm_ = RandomFloats(std::max(g.hidden, g.head_dim));
    x_ = RandomFloats(g.hidden);
    y_.resize(static_cast<size_t>(g.hidden));
    qkv_.resize(static_cast<size_t>(width) + 2 * static_cast<size_t>(kv_width));
    mixed_.resize(static_cast<size_t>(width));
    gate_up_.resize(2 * static_cast<size_t>(g.ffn));
    logits_.resize(static_cast<size_t>(g.vocabulary));
    angles_ = RandomFloats(g.head_dim / 2);
  }

  void Step(const OpContext& context) {
    for (size_t i = 0; i < layers_.size(); ++i) StepLayer(context, i);
    RmsNorm(context, x_.data(), norm_.data(), 1e-6f, 1, g_.hidden, y_.data());
    MatMul(context, y_.data(), 1, head_, logits_.data());
    for (float& value : x_) value = std::fmod(value, 1.0f);  // stays finite for ever
  }

  double Bytes() const {
    double bytes = static_cast<double>(head_.bytes());
    for (const LayerState& layer : layers_) {
      bytes += static_cast<double>(layer.qkv.bytes() + layer.out.bytes() + layer.gate_up.bytes() +
                                   layer.down.bytes());
      bytes += static_cast<double>(depth_) * 2 * g_.kv_heads * g_.head_dim * 2;
    }
    return bytes;
  }

 private:
  struct LayerState {
    PackedMatrix qkv, out, gate_up, down;
  };

  void StepLayer(const OpContext& context, size_t index) {
    const LayerState& layer = layers_[index];
    float* const q = qkv_.data();
    float* const k = q + g_.heads * g_.head_dim;
    float* const v = k + g_.kv_heads * g_.head_dim;
    RmsNorm(context, x_.data(), norm_.data(), 1e-6f, 1, g_.hidden, y_.data());
    MatMul(context, y_.data(), 1, layer.qkv, q);
    RmsNorm(context, q, norm_.data(), 1e-6f, g_.heads + g_.kv_heads, g_.head_dim, q);
    Rope(context, q, 1, g_.heads + g_.kv_heads, g_.head_dim, angles_.data(), angles_.data());
    StoreKv(context, {k, v, 1, g_.kv_heads, g_.head_dim}, kKvType, kv_.pages(index).back().data,
            static_cast<int>(depth_ % kChunk));
    const RowView view{.end = depth_ + 1};
    Attention(context, ArgsFor(kv_, index, g_, {&view, 1}, scratch_, kKvType, q, mixed_.data()));
    MatMul(context, mixed_.data(), 1, layer.out, y_.data());
    AddInPlace(context, x_.data(), y_.data(), g_.hidden);
    RmsNorm(context, x_.data(), norm_.data(), 1e-6f, 1, g_.hidden, y_.data());
    MatMul(context, y_.data(), 1, layer.gate_up, gate_up_.data());
    SwiGlu(context, gate_up_.data(), gate_up_.data() + g_.ffn, g_.ffn, gate_up_.data());
    MatMul(context, gate_up_.data(), 1, layer.down, y_.data());
    AddInPlace(context, x_.data(), y_.data(), g_.hidden);
  }

  static constexpr KvType kKvType = KvType::kBF16;

  const Geometry g_;
  const int64_t depth_;
  ModelKv kv_;
  std::vector<float> scratch_;  // of attention
  std::vector<LayerState> layers_;
  PackedMatrix head_;
  std::vector<float> norm_, x_, y_, qkv_, mixed_, gate_up_, logits_, angles_;
};

void DecodeStep(benchmark::State& state, const Geometry& geometry, DType dtype) {
  Decoder decoder(geometry, state.range(0), dtype);
  for (auto _ : state) decoder.Step({Device::kCpu, g_pool});
  state.counters["tok/s"] = benchmark::Counter(1, benchmark::Counter::kIsIterationInvariantRate);
  Report(state, decoder.Bytes(), 0);
}
BENCHMARK_CAPTURE(DecodeStep, demo, kDemo, DType::kBF16)
    ->Arg(0)
    ->Arg(4096)
    ->Arg(16384)
    ->UseRealTime();
BENCHMARK_CAPTURE(DecodeStep, qwen3_0_6b_bf16, kQwen06B, DType::kBF16)
    ->Arg(0)
    ->Arg(4096)
    ->UseRealTime();
BENCHMARK_CAPTURE(DecodeStep, qwen3_0_6b_q8_0, kQwen06B, DType::kQ8_0)
    ->Arg(0)
    ->Arg(4096)
    ->UseRealTime();
BENCHMARK_CAPTURE(DecodeStep, qwen3_0_6b_q4_0, kQwen06B, DType::kQ4_0)
    ->Arg(0)
    ->Arg(4096)
    ->UseRealTime();

// Drawing one token of a vocabulary of 151,936. `spread` scales logits that are normally
// distributed: 0 is the flattest distribution, 3 one like a model's.
void SampleBench(benchmark::State& state, const SamplingParams& params) {
  std::mt19937 rng(1);
  std::normal_distribution<float> normal;
  std::vector<float> logits(151936);
  for (float& logit : logits) logit = static_cast<float>(state.range(0)) * normal(rng);
  int64_t position = 0;
  for (auto _ : state) benchmark::DoNotOptimize(SampleAt(logits, params, position++).value());
}
void Spreads(benchmark::internal::Benchmark* b) {
  b->ArgName("spread")->Arg(0)->Arg(3)->Unit(benchmark::kMicrosecond);
}
BENCHMARK_CAPTURE(SampleBench, greedy, (SamplingParams{}))->Apply(Spreads);
BENCHMARK_CAPTURE(SampleBench, temperature, (SamplingParams{.temperature = 1}))->Apply(Spreads);
BENCHMARK_CAPTURE(SampleBench, top_k, (SamplingParams{.temperature = 1, .top_k = 40}))
    ->Apply(Spreads);
BENCHMARK_CAPTURE(SampleBench, top_p, (SamplingParams{.temperature = 1, .top_p = 0.95}))
    ->Apply(Spreads);
BENCHMARK_CAPTURE(SampleBench, min_p, (SamplingParams{.temperature = 1, .min_p = 0.05}))
    ->Apply(Spreads);

// What recurrence costs a token of a prompt: the mean over chunks all along it. Ids by Zipf's law.
void RecurrenceBench(benchmark::State& state) {
  constexpr int64_t kSamples = 16;
  constexpr int kVocabulary = 4096;
  const int64_t chunks = state.range(0) / kChunk;
  RestorerConfig config;
  config.code_dim = 64;
  config.recurrence = {.lengths = {1, 2, 3, 5}, .buckets = 8, .next = 8};
  History history(config, &g_budget);
  if (!history.Add(chunks).ok()) return state.SkipWithError("out of memory");
  std::vector<double> weights;
  for (int id = 1; id <= kVocabulary; ++id) weights.push_back(1.0 / id);
  std::mt19937 rng(1);
  std::discrete_distribution<int32_t> zipf(weights.begin(), weights.end());
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    for (int i = 0; i < kChunk; ++i) history.MutableAt(chunk).ids[i] = zipf(rng);
  }
  ChunkRecurrence found;
  for (auto _ : state) {
    for (int64_t i = 1; i <= kSamples; ++i) {
      FindRecurrence({}, config.recurrence, history.ids().first(i * chunks / kSamples), &found);
      benchmark::DoNotOptimize(&found);
    }
  }
  state.counters["s/token"] =
      benchmark::Counter(kSamples * kChunk, benchmark::Counter::kIsIterationInvariantRate |
                                                benchmark::Counter::kInvert);
}
BENCHMARK(RecurrenceBench)->Arg(4096)->Arg(16384)->Arg(131072)->Unit(benchmark::kMillisecond);

// A loop that does nothing: what every operator pays for the threads.
void PoolRoundTrip(benchmark::State& state) {
  for (auto _ : state) ParallelFor(g_pool, state.range(0), [](int64_t) {});
}
BENCHMARK(PoolRoundTrip)->Arg(2)->Arg(16)->UseRealTime();

int Main(int argc, char** argv) {
  int threads = static_cast<int>(std::thread::hardware_concurrency());
  for (int i = 1; i < argc; ++i) {
    if (std::sscanf(argv[i], "--threads=%d", &threads) == 1) {
      std::rotate(argv + i, argv + i + 1, argv + argc);
      --argc;
    }
  }
  benchmark::Initialize(&argc, argv);
  if (threads < 1 || benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  auto pool = ThreadPool::Create(threads);
  if (!pool.ok()) {
    fmt::print(stderr, "{}\n", pool.status().message());
    return 1;
  }
  g_pool = pool->get();
  g_read_bandwidth = MeasureReadBandwidth(g_pool);
  fmt::print("{} threads, read bandwidth {:.1f} GB/s\n", threads, g_read_bandwidth / 1e9);
  std::fflush(stdout);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace
}  // namespace kakeya

int main(int argc, char** argv) { return kakeya::Main(argc, argv); }
