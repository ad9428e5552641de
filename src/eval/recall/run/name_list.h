// "a,b,c" or "all" as a list of enumerators that have a NameOf.
#ifndef KAKEYA_EVAL_RECALL_RUN_NAME_LIST_H_
#define KAKEYA_EVAL_RECALL_RUN_NAME_LIST_H_

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace kakeya {

// The named values, in the order of `all`, each once. Errors: InvalidArgument naming the word that
// is no `what`, and what there is.
template <typename Enum>
Result<std::vector<Enum>> ParseNameList(std::string_view list, const std::vector<Enum>& all,
                                        const char* what) {
  if (list == "all") return all;
  std::vector<bool> wanted(all.size());
  while (true) {
    const size_t comma = list.find(',');
    const std::string_view word = list.substr(0, comma);
    const auto found =
        std::find_if(all.begin(), all.end(), [&](Enum value) { return NameOf(value) == word; });
    if (found == all.end()) {
      std::string names;
      for (const Enum value : all) names += std::string(names.empty() ? "" : ", ") + NameOf(value);
      return InvalidArgument("there is no {} '{}': known are {}, or all", what, word, names);
    }
    wanted[found - all.begin()] = true;
    if (comma == std::string_view::npos) break;
    list.remove_prefix(comma + 1);
  }
  std::vector<Enum> values;
  for (size_t i = 0; i < all.size(); ++i) {
    if (wanted[i]) values.push_back(all[i]);
  }
  return values;
}

}  // namespace kakeya

#endif  // KAKEYA_EVAL_RECALL_RUN_NAME_LIST_H_
