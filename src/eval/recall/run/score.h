// Whether an answer says what it should.
#ifndef KAKEYA_EVAL_RECALL_RUN_SCORE_H_
#define KAKEYA_EVAL_RECALL_RUN_SCORE_H_

#include <string>
#include <string_view>
#include <vector>

namespace kakeya {

// Whether the first line of `answer` holds every one of `expected`, in this order and each as a
// whole: no letter or digit touches it, and it is no part of a longer number (148213, 48213.5,
// 48,213,000 and -48213 don't say 48213). Numbers may have no other number of their length before
// or between them: who names several until one fits has not recalled it. False when nothing is
// expected.
bool IsRightAnswer(std::string_view answer, const std::vector<std::string>& expected);

}  // namespace kakeya

#endif  // KAKEYA_EVAL_RECALL_RUN_SCORE_H_
