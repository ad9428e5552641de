#include "model/restored_attention.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>

#include "model/rope.h"
#include "model/visit_plan.h"

namespace kakeya {
namespace {

// A page of the buffer that this round has to fill.
struct FreshPage {
  PageKey key;
  RestoreBuffer::Page page;
  ChunkRope::Tables rope;
};

// The visits of all KV heads, taken in rounds: as many restored pages at once as the buffer holds.
class Rounds {
 public:
  Rounds(const OpContext& context, int layer, int head_dim, const PlanArgs& args,
         const std::vector<std::vector<ChunkVisit>>& chosen, KvType type, Restoration* restoration)
      : context_(context),
        layer_(layer),
        head_dim_(head_dim),
        type_(type),
        args_(args),
        restoration_(*restoration),
        done_(chosen.size()) {
    for (size_t head = 0; head < chosen.size(); ++head) {
      plans_.push_back(PlanVisits(args, static_cast<int>(head), chosen[head]));
    }
  }

  bool AnyFar() const {
    return std::any_of(plans_.begin(), plans_.end(), [](const std::vector<PlannedVisit>& plan) {
      return std::any_of(plan.begin(), plan.end(),
                         [](const PlannedVisit& planned) { return planned.visit.far; });
    });
  }

  // visits[h] = the next visits of KV head h, their pages loaded. False when nothing is left.
  // Errors: those of Restorer::Load.
  Result<bool> Next(std::vector<std::vector<PageVisit>>* visits) {
    const int64_t quota = restoration_.buffer.entries() / static_cast<int64_t>(plans_.size());
    restoration_.buffer.BeginRound();
    std::vector<FreshPage> fresh;
    std::vector<std::vector<RestoreBuffer::Page>> pages(plans_.size());
    for (size_t head = 0; head < plans_.size(); ++head) {
      TakePages(static_cast<int>(head), quota, &pages[head], &fresh);
    }
    KAKEYA_RETURN_IF_ERROR(Fill(fresh));
    bool any = false;
    for (size_t head = 0; head < plans_.size(); ++head) {
      (*visits)[head].clear();
      for (const RestoreBuffer::Page& page : pages[head]) {
        any = true;
        Resolve(plans_[head][done_[head]++], page, static_cast<int>(head), &(*visits)[head]);
      }
    }
    return any;
  }

 private:
  // One page per visit that this round takes; an empty one where the visit is exact.
  void TakePages(int head, int64_t quota, std::vector<RestoreBuffer::Page>* pages,
                 std::vector<FreshPage>* fresh) {
    int64_t restored = 0;
    for (size_t i = done_[head]; i < plans_[head].size(); ++i) {
      RestoreBuffer::Page page;
      if (plans_[head][i].restored) {
        // The rotary tables of a round must all stay valid, too.
        if (++restored > quota || fresh->size() >= ChunkRope::kEntries) return;
        const PageVisit& visit = plans_[head][i].visit;
        const PageKey key{layer_, head, ChunkOf(visit.first_position), visit.far};
        page = restoration_.buffer.Get(key);
        if (page.fresh) fresh->push_back({key, page, restoration_.rope.Of(RotationChunk(key))});
      }
      pages->push_back(page);
    }
  }

  // Far pages stand at the beginning, and their queries at max_distance; the chunks that hold sinks
  // stand near the beginning anyway, and keep the positions that their sinks have.
  int64_t RotationChunk(const PageKey& key) const {
    return key.far && key.chunk >= SinkChunks(args_.policy) ? 0 : key.chunk;
  }

  Status Fill(const std::vector<FreshPage>& fresh) {
    if (fresh.empty()) return OkStatus();
    const auto start = std::chrono::steady_clock::now();
    std::vector<PageKey> keys;
    for (const FreshPage& page : fresh) keys.push_back(page.key);
    restoration_.restorer->Prefetch(context_, keys);
    std::vector<Status> loaded(fresh.size());
    ParallelFor(context_.pool, static_cast<int64_t>(fresh.size()),
                [&](int64_t i) { loaded[i] = Load(fresh[i]); });
    Status failure;
    for (size_t i = 0; i < fresh.size(); ++i) {
      const Status error = Count(fresh[i], loaded[i]);
      if (failure.ok()) failure = error;
    }
    const auto end = std::chrono::steady_clock::now();
    restoration_.stats.seconds += std::chrono::duration<double>(end - start).count();
    return failure;
  }

  // A page that holds no numbers is done without; one that could not be had fails the step, and
  // must not pass for loaded when the step is tried again.
  Status Count(const FreshPage& fresh, const Status& loaded) {
    RestoreStats& stats = restoration_.stats;
    if (!loaded.ok() && loaded.code() != StatusCode::kNotFinite) {
      restoration_.buffer.Drop(fresh.key);
      return loaded;
    }
    ++stats.pages;
    stats.vectors += int64_t{2} * kChunk;
    *fresh.page.failed = !loaded.ok();
    if (loaded.ok()) return OkStatus();
    if (stats.failed++ == 0) stats.first_failure = loaded.message();
    return OkStatus();
  }

  // Runs on any thread.
  Status Load(const FreshPage& fresh) const {
    const OpContext here{.device = context_.device, .pool = nullptr};
    KAKEYA_RETURN_IF_ERROR(restoration_.restorer->Load(here, {.key = fresh.key,
                                                              .type = type_,
                                                              .head_dim = head_dim_,
                                                              .cos = fresh.rope.cos,
                                                              .sin = fresh.rope.sin,
                                                              .page = fresh.page.data}));
    CopySinks(fresh);
    return OkStatus();
  }

  // The sinks stay exact, also within a restored chunk.
  void CopySinks(const FreshPage& fresh) const {
    const int64_t sinks = std::min<int64_t>(kChunk, args_.policy.sink - fresh.key.chunk * kChunk);
    if (sinks <= 0) return;
    CopySlots(type_, head_dim_, Exact(fresh.key.chunk, fresh.key.kv_head), static_cast<int>(sinks),
              fresh.page.data);
  }

  // The cache's own page of a chunk that holds sinks.
  const void* Exact(int64_t chunk, int head) const {
    const auto page = std::find_if(
        args_.pages.begin(), args_.pages.end(),
        [&](const KvPage& candidate) { return candidate.first_position == chunk * kChunk; });
    return HeadData(*page, head, args_.head_bytes);
  }

  // A chunk that could not be reconstructed is as good as not chosen: its rows see its sinks, if it
  // has any.
  void Resolve(const PlannedVisit& planned, const RestoreBuffer::Page& page, int head,
               std::vector<PageVisit>* out) const {
    PageVisit visit = planned.visit;
    if (planned.restored) visit.data = page.data;
    if (planned.restored && *page.failed) {
      if (visit.first_position >= args_.policy.sink) return;
      visit.data = Exact(ChunkOf(visit.first_position), head);
      visit.part = VisitPart::kSinks;
    }
    out->push_back(visit);
  }

  const OpContext& context_;
  const int layer_;
  const int head_dim_;
  const KvType type_;
  const PlanArgs& args_;
  Restoration& restoration_;
  std::vector<std::vector<PlannedVisit>> plans_;  // per KV head
  std::vector<size_t> done_;                      // of them, per KV head
};

// What each KV head's queries choose among the evicted chunks.
Result<std::vector<std::vector<ChunkVisit>>> Choose(const OpContext& context, int layer,
                                                    const PlanArgs& args, const float* q,
                                                    int kv_heads, Restoration* restoration) {
  std::vector<std::vector<ChunkVisit>> chosen(static_cast<size_t>(kv_heads));
  std::array<int64_t, kStaging> window_begin;
  for (int row = 0; row < args.rows; ++row) {
    window_begin[row] = WindowBegin(args.policy, args.first_position + row);
  }
  const int64_t first_chunk = args.policy.sink / kChunk;  // before it are sinks alone
  if (window_begin[args.rows - 1] <= first_chunk * kChunk) return chosen;
  const auto start = std::chrono::steady_clock::now();
  KAKEYA_RETURN_IF_ERROR(restoration->restorer->BeginLayer(context, layer));
  KAKEYA_RETURN_IF_ERROR(restoration->restorer->Select(
      context,
      {.layer = layer,
       .q = q,
       .rows = args.rows,
       .first_position = args.first_position,
       .first_chunk = first_chunk,
       .window_begin = {window_begin.data(), static_cast<size_t>(args.rows)},
       .max_chunks = restoration->chunks},
      chosen));
  const auto end = std::chrono::steady_clock::now();
  restoration->stats.seconds += std::chrono::duration<double>(end - start).count();
  return chosen;
}

// The queries as far pages see them: all at max_distance.
void RotateFar(const OpContext& context, const LayerConfig& config, const RestoredPiece& piece,
               const Restoration& restoration) {
  const int heads = piece.rows * config.num_heads;
  CopyRows(context, piece.plain, config.head_dim, heads, config.head_dim, piece.far);
  Rope(context, piece.far, 1, heads, config.head_dim, restoration.far_cos.data(),
       restoration.far_sin.data());
}

}  // namespace

Result<Restoration> Restoration::Create(const KvShape& shape, const Rotation& rotation,
                                        std::unique_ptr<Restorer> restorer, int64_t chunks,
                                        size_t buffer_bytes, MemoryBudget* budget) {
  KAKEYA_ASSIGN_OR_RETURN(RestoreBuffer buffer, RestoreBuffer::Create(shape, buffer_bytes, budget));
  KAKEYA_ASSIGN_OR_RETURN(ChunkRope rope, ChunkRope::Create(rotation, budget));
  const size_t half = rotation.frequencies.size();
  std::vector<float> far_cos(half);
  std::vector<float> far_sin(half);
  RopeTables(rotation, restorer->max_distance(), 1, far_cos.data(), far_sin.data());
  return Restoration{.restorer = std::move(restorer),
                     .chunks = chunks,
                     .buffer = std::move(buffer),
                     .rope = std::move(rope),
                     .far_cos = std::move(far_cos),
                     .far_sin = std::move(far_sin)};
}

Status Restoration::Truncate(const OpContext& context, int64_t n) {
  if (n >= restorer->size()) return OkStatus();
  KAKEYA_RETURN_IF_ERROR(restorer->Truncate(context, n));
  buffer.DropFrom(n / kChunk);
  return OkStatus();
}

Status AttendRestored(const OpContext& context, const LayerConfig& config,
                      const RestoredPiece& piece, KvCache* cache, Restoration* restoration) {
  static_assert(kStaging <= kMaxSelectRows);
  const PlanArgs plan{.policy = cache->layer(piece.layer).policy,
                      .first_position = piece.first_position,
                      .rows = piece.rows,
                      .max_distance = restoration->restorer->max_distance(),
                      .pages = cache->View(piece.layer, piece.first_position, piece.rows),
                      .head_bytes = KvHeadBytes(cache->type(), config.head_dim)};
  KAKEYA_ASSIGN_OR_RETURN(
      const std::vector<std::vector<ChunkVisit>> chosen,
      Choose(context, piece.layer, plan, piece.plain, config.num_kv_heads, restoration));
  Rounds rounds(context, piece.layer, config.head_dim, plan, chosen, cache->type(), restoration);
  if (rounds.AnyFar()) RotateFar(context, config, piece, *restoration);
  std::array<RowView, kStaging> views;
  for (int row = 0; row < piece.rows; ++row) {
    views[row] = ViewOf(plan.policy, piece.first_position + row);
  }
  const VisitArgs args{.q = piece.rotated,
                       .q_far = piece.far,
                       .rows = piece.rows,
                       .heads = config.num_heads,
                       .kv_heads = config.num_kv_heads,
                       .head_dim = config.head_dim,
                       .scale = 1.0f / std::sqrt(static_cast<float>(config.head_dim)),
                       .kv_type = cache->type(),
                       .views = {views.data(), static_cast<size_t>(piece.rows)}};
  BeginVisits(args, piece.state);
  std::vector<std::vector<PageVisit>> visits(chosen.size());
  while (true) {
    KAKEYA_ASSIGN_OR_RETURN(const bool any, rounds.Next(&visits));
    if (!any) break;
    AttendVisits(context, args, visits, piece.state);
  }
  FinishVisits(context, args, piece.state, piece.out);
  return OkStatus();
}

}  // namespace kakeya
