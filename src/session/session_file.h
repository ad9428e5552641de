// A session on disk: docs/session_file.md describes the format.
//
// Thread safety: the functions may be called from several threads at once, for different sessions.
#ifndef KAKEYA_SESSION_SESSION_FILE_H_
#define KAKEYA_SESSION_SESSION_FILE_H_

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "decode/timeline.h"

namespace kakeya {

// What must be the same where a session is saved and where it is loaded: names and values, in a
// fixed order, as they are shown to a user.
using SessionTraits = std::vector<std::pair<const char*, std::string>>;

// Writes the file whole or not at all (format/write_file.h), readable by its owner alone. Errors
// name the file: those of AtomicFile; Unsupported when the restorer's state can't be saved.
// REQUIRES: no block is open.
Status WriteSessionFile(const std::string& path, const SessionTraits& traits,
                        std::span<const int32_t> tokens, const Timeline& timeline);

// Whether a file is a saved session, of this version and whole as far as its length tells: what can
// be found out before a model is loaded. Errors, one line naming the file: those of
// MappedFile::Open, Corrupt, Unsupported for another version.
Status CheckSessionFile(const std::string& path);

// Fills a fresh timeline, made with the same options, and gives back the tokens. `check` says
// whether these tokens can be; it is asked before anything is filled. Errors, one line naming the
// file: those of MappedFile::Open; Corrupt for a file that is cut, changed or contradicts itself;
// Unsupported for another version; InvalidArgument for other traits, naming the first that differs;
// ResourceExhausted; that of `check`. The timeline is of no use then.
Result<std::vector<int32_t>> ReadSessionFile(
    const std::string& path, const SessionTraits& traits,
    const std::function<Status(std::span<const int32_t> tokens)>& check, Timeline* timeline);

}  // namespace kakeya

#endif  // KAKEYA_SESSION_SESSION_FILE_H_
