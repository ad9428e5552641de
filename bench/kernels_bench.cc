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

namespace kakeya {
namespace {

ThreadPool* g_pool = nullptr;
double g_read_bandwidth = 0;  // bytes per second
MemoryBudget g_budget;

// Bytes per second of reading 1 GiB with all threads, best of five.
double MeasureReadBandwidth(ThreadPool* pool) {
  constexpr int64_t kWords = int64_t{1} << 27;
  constexpr int64_t kTasks = 512;
  std::vector<uint64_t> data(kWords, 1);
  std::vector<uint64_t> sums(kTasks);
  double best = 0;
  for (int repeat = 0; repeat < 5; ++repeat) {
    const auto start = std::chrono::steady_clock::now();
    ParallelFor(pool, kTasks, [&](int64_t task) {
      const uint64_t* from = data.data() + task * (kWords / kTasks);
      uint64_t sum[8] = {};
      for (int64_t i = 0; i < kWords / kTasks; i += 8) {
        for (int j = 0; j < 8; ++j) sum[j] += from[i + j];
      }
      for (const uint64_t s : sum) sums[static_cast<size_t>(task)] += s;
    });
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    best = std::max(best, kWords * 8.0 / seconds.count());
    benchmark::DoNotOptimize(sums.data());
  }
  return best;
}

std::vector<float> RandomFloats(int64_t n) {
  static std::mt19937 rng(1);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> out(static_cast<size_t>(n));
  for (float& value : out) value = uniform(rng);
  return out;
}

PackedMatrix RandomMatrix(int64_t rows, int64_t cols, DType dtype) {
  // A few random rows, repeated: speed doesn't depend on the values.
  const int64_t distinct = std::min<int64_t>(rows, 64);
  const std::vector<float> values = RandomFloats(distinct * cols);
  std::vector<std::byte> stored(static_cast<size_t>(rows * cols) * SizeOf(dtype));
  const size_t part = static_cast<size_t>(distinct * cols) * SizeOf(dtype);
  for (int64_t i = 0; i < distinct * cols; ++i) {
    numerics::Store(dtype, stored.data(), i, values[static_cast<size_t>(i)]);
  }
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

void MatMulBench(benchmark::State& state) {
  const int64_t n = state.range(0);
  const int64_t k = state.range(1);
  const int rows = static_cast<int>(state.range(2));
  const PackedMatrix w = RandomMatrix(n, k, DType::kBF16);
  const std::vector<float> x = RandomFloats(rows * k);
  std::vector<float> out(static_cast<size_t>(rows * n));
  for (auto _ : state) MatMul({Device::kCpu, g_pool}, x.data(), rows, w, out.data());
  Report(state, static_cast<double>(w.bytes()), 2.0 * rows * n * k);
}
BENCHMARK(MatMulBench)
    ->Name("MatMul")
    ->ArgNames({"n", "k", "rows"})
    ->ArgsProduct({{256}, {256, 768}, {1, 8, 64}})
    ->ArgsProduct({{1024}, {1024, 3072}, {1, 8, 64}})
    ->ArgsProduct({{3072}, {1024}, {1, 2, 4, 8, 16, 64}})
    ->ArgsProduct({{151936}, {1024}, {1, 2, 4, 8, 16}})
    ->UseRealTime();

// K/V of one layer at some depth.
class LayerKv {
 public:
  LayerKv(int kv_heads, int head_dim, int64_t depth, DType dtype) {
    const int64_t pages = (depth + kChunk) / kChunk;  // room for one more token
    const size_t bytes = static_cast<size_t>(PageElements(kv_heads, head_dim)) * SizeOf(dtype);
    const std::vector<float> rows = RandomFloats(int64_t{kChunk} * kv_heads * head_dim);
    for (int64_t i = 0; i < pages; ++i) {
      buffers_.push_back(g_budget.Allocate(MemoryTag::kKv, bytes, "page").value());
      StoreKv({}, rows.data(), rows.data(), kChunk, kv_heads, head_dim, dtype,
              buffers_.back().data(), 0);
      pages_.push_back({i * kChunk, buffers_.back().data()});
    }
  }
  std::span<const KvPage> pages() const { return pages_; }

 private:
  std::vector<Buffer> buffers_;
  std::vector<KvPage> pages_;
};

AttentionArgs ArgsFor(const LayerKv& kv, int heads, int kv_heads, int head_dim, int64_t depth,
                      std::span<const int64_t> begin, DType dtype, const float* q, float* out) {
  AttentionArgs args;
  args.q = q;
  args.out = out;
  args.rows = static_cast<int>(begin.size());
  args.heads = heads;
  args.kv_heads = kv_heads;
  args.head_dim = head_dim;
  args.scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
  args.kv_dtype = dtype;
  args.pages = kv.pages();
  args.first_position = depth;
  args.window_begin = begin;
  return args;
}

void AttentionBench(benchmark::State& state) {
  const int heads = static_cast<int>(state.range(0));
  const int kv_heads = static_cast<int>(state.range(1));
  const int head_dim = static_cast<int>(state.range(2));
  const int64_t depth = state.range(3);
  const int rows = static_cast<int>(state.range(4));
  const DType dtype = state.range(5) == 0 ? DType::kBF16 : DType::kF16;
  const LayerKv kv(kv_heads, head_dim, depth + rows, dtype);
  const std::vector<float> q = RandomFloats(int64_t{rows} * heads * head_dim);
  std::vector<float> out(q.size());
  const std::vector<int64_t> begin(static_cast<size_t>(rows), 0);
  const AttentionArgs args =
      ArgsFor(kv, heads, kv_heads, head_dim, depth, begin, dtype, q.data(), out.data());
  for (auto _ : state) Attention({Device::kCpu, g_pool}, args);
  const double keys = static_cast<double>(depth) * kv_heads * head_dim;
  Report(state, keys * 2 * 2, 4.0 * rows * depth * heads * head_dim);
}
BENCHMARK(AttentionBench)
    ->Name("Attention")
    ->ArgNames({"heads", "kv", "dim", "depth", "rows", "f16"})
    ->ArgsProduct({{4}, {2}, {64}, {4096, 16384}, {1, 8, 64}, {0}})
    ->ArgsProduct({{16}, {8}, {128}, {4096, 16384}, {1, 8, 64}, {0}})
    ->Args({16, 8, 128, 16384, 1, 1})
    ->UseRealTime();

// The geometry of a dense model.
struct Geometry {
  int layers, hidden, heads, kv_heads, head_dim, ffn, vocabulary;
};
constexpr Geometry kDemo{10, 256, 4, 2, 64, 768, 4096};
constexpr Geometry kQwen06B{28, 1024, 16, 8, 128, 3072, 151936};

// One token through all operators of a model, on one thread of control, as a forward pass does.
class Decoder {
 public:
  Decoder(const Geometry& g, int64_t depth) : g_(g), depth_(depth) {
    const int width = g.heads * g.head_dim;
    const int kv_width = g.kv_heads * g.head_dim;
    for (int i = 0; i < g.layers; ++i) {
      layers_.push_back({RandomMatrix(width + 2 * kv_width, g.hidden, DType::kBF16),
                         RandomMatrix(g.hidden, width, DType::kBF16),
                         RandomMatrix(2 * g.ffn, g.hidden, DType::kBF16),
                         RandomMatrix(g.hidden, g.ffn, DType::kBF16),
                         LayerKv(g.kv_heads, g.head_dim, depth, DType::kBF16)});
    }
    head_ = RandomMatrix(g.vocabulary, g.hidden, DType::kBF16);
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
    for (const LayerState& layer : layers_) StepLayer(context, layer);
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
    LayerKv kv;
  };

  void StepLayer(const OpContext& context, const LayerState& layer) {
    float* const q = qkv_.data();
    float* const k = q + g_.heads * g_.head_dim;
    float* const v = k + g_.kv_heads * g_.head_dim;
    RmsNorm(context, x_.data(), norm_.data(), 1e-6f, 1, g_.hidden, y_.data());
    MatMul(context, y_.data(), 1, layer.qkv, q);
    RmsNorm(context, q, norm_.data(), 1e-6f, g_.heads + g_.kv_heads, g_.head_dim, q);
    Rope(context, q, 1, g_.heads + g_.kv_heads, g_.head_dim, angles_.data(), angles_.data());
    StoreKv(context, k, v, 1, g_.kv_heads, g_.head_dim, DType::kBF16, layer.kv.pages().back().data,
            static_cast<int>(depth_ % kChunk));
    const int64_t begin = 0;
    Attention(context, ArgsFor(layer.kv, g_.heads, g_.kv_heads, g_.head_dim, depth_, {&begin, 1},
                               DType::kBF16, q, mixed_.data()));
    MatMul(context, mixed_.data(), 1, layer.out, y_.data());
    AddInPlace(context, x_.data(), y_.data(), g_.hidden);
    RmsNorm(context, x_.data(), norm_.data(), 1e-6f, 1, g_.hidden, y_.data());
    MatMul(context, y_.data(), 1, layer.gate_up, gate_up_.data());
    SwiGlu(context, gate_up_.data(), gate_up_.data() + g_.ffn, g_.ffn, gate_up_.data());
    MatMul(context, gate_up_.data(), 1, layer.down, y_.data());
    AddInPlace(context, x_.data(), y_.data(), g_.hidden);
  }

  const Geometry g_;
  const int64_t depth_;
  std::vector<LayerState> layers_;
  PackedMatrix head_;
  std::vector<float> norm_, x_, y_, qkv_, mixed_, gate_up_, logits_, angles_;
};

void DecodeStep(benchmark::State& state, const Geometry& geometry) {
  Decoder decoder(geometry, state.range(0));
  for (auto _ : state) decoder.Step({Device::kCpu, g_pool});
  state.counters["tok/s"] = benchmark::Counter(1, benchmark::Counter::kIsIterationInvariantRate);
  Report(state, decoder.Bytes(), 0);
}
BENCHMARK_CAPTURE(DecodeStep, demo, kDemo)->Arg(0)->Arg(4096)->Arg(16384)->UseRealTime();
BENCHMARK_CAPTURE(DecodeStep, qwen3_0_6b, kQwen06B)->Arg(0)->Arg(4096)->UseRealTime();

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
