// A session's inside, for measurements and tests: what the cache holds and what it shows.
#ifndef KAKEYA_SESSION_TIMELINE_OF_H_
#define KAKEYA_SESSION_TIMELINE_OF_H_

#include "decode/timeline.h"
#include "session/session.h"

namespace kakeya {

inline Timeline& TimelineOf(Session* session) { return session->timeline_; }

}  // namespace kakeya

#endif  // KAKEYA_SESSION_TIMELINE_OF_H_
