// The runs that are done, on disk: one JSON object a line, the first one says with which settings.
// A run that was stopped goes on where it was.
//
//   {"journal":"kakeya prove","format":2,"settings":{...}}
//   {"task":"single","length":1024,"arm":"oracle","prompt":0,"right":true,...}
//   ...
//
// A last line without its end (the process died while writing) is dropped and written again; any
// other line that can't be read is an error.
//
// A run may be divided among processes and machines, each with a journal, some of the lengths,
// tasks, arms or prompts (--part), and the same settings: one of the journals with the others'
// lines after the first behind its own is the journal of all.
//
// Thread safety: none. The file is locked: two processes can't write to one journal.
#ifndef KAKEYA_EVAL_RECALL_RUN_JOURNAL_H_
#define KAKEYA_EVAL_RECALL_RUN_JOURNAL_H_

#include <map>
#include <string>

#include "base/status.h"
#include "eval/recall/run/record.h"
#include "format/json.h"
#include "format/read_file.h"

namespace kakeya {

class RecallJournal {
 public:
  // Remembers only while the process lives.
  RecallJournal() = default;
  // Opens or makes the file `path`. Errors name it: InvalidArgument when it is the journal of other
  // settings (saying which) or in use, Corrupt when it is no journal, Unavailable.
  static Result<RecallJournal> Open(const std::string& path, const Json& settings);

  const std::map<RecallKey, RecallRecord>& records() const { return records_; }
  bool has(const RecallKey& key) const { return records_.count(key) > 0; }
  // Errors: Unavailable when it can't be written.
  Status Add(const RecallRecord& record);

 private:
  Status Load(const std::string& text, const Json& settings, uint64_t* good_bytes);
  Status AppendLine(const Json& json);

  std::string path_;  // empty: no file
  FileDescriptor fd_;
  std::map<RecallKey, RecallRecord> records_;
};

// Which settings differ, as "seed is 1 there and 0 here, ..."; empty when none.
std::string SettingsDifference(const Json& there, const Json& here);

}  // namespace kakeya

#endif  // KAKEYA_EVAL_RECALL_RUN_JOURNAL_H_
