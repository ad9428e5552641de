// From keys and values that were computed to a page as it is stored: what all restorers do that
// don't keep exact pages.
#ifndef KAKEYA_CACHE_COMPUTED_PAGE_H_
#define KAKEYA_CACHE_COMPUTED_PAGE_H_

#include "backend/ops.h"
#include "base/status.h"
#include "cache/restorer.h"

namespace kakeya {

// Rotates keys k (kChunk, head_dim), given as the verifier has them after its k_norm and before the
// rotation, in place, and stores them with the values v (kChunk, head_dim) in the request's page.
// Errors: NotFinite when one of them is no number, or larger than the page's type holds; the page
// is not touched then.
Status StoreComputedPage(const OpContext& context, const PageRequest& request, float* k,
                         const float* v);

}  // namespace kakeya

#endif  // KAKEYA_CACHE_COMPUTED_PAGE_H_
