// Errors as values. Whatever a file, a user or a peer can cause comes back as a Status or a
// Result<T>; an assert is for our own mistakes. A message is one line that says what is wrong and
// where (file, key, offset), fit to show to a user.
#ifndef KAKEYA_BASE_STATUS_H_
#define KAKEYA_BASE_STATUS_H_

#include <fmt/format.h>

#include <cassert>
#include <optional>
#include <string>
#include <utility>

namespace kakeya {

enum class StatusCode {
  kOk,
  kInvalidArgument,    // the caller's words are wrong (flag, request, prompt)
  kNotFound,           // a file or a session that isn't there
  kCorrupt,            // a file that isn't what it says it is
  kUnsupported,        // well-formed, but this build doesn't do it
  kResourceExhausted,  // a budget (bytes, steps, output) is spent
  kUnavailable,        // the system refused: I/O error, no threads
  kCancelled,          // the caller asked us to stop
  kNotFinite,          // numbers were wanted, and what came are none
};

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {
    assert(code != StatusCode::kOk);
  }

  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  const std::string& message() const { return message_; }

  // The same error seen from one level up: "model.safetensors: header is not JSON".
  Status WithContext(const std::string& where) const {
    return ok() ? *this : Status(code_, where + ": " + message_);
  }

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
};

inline Status OkStatus() { return Status(); }

template <typename... Args>
Status InvalidArgument(fmt::format_string<Args...> format, Args&&... args) {
  return Status(StatusCode::kInvalidArgument, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
Status NotFound(fmt::format_string<Args...> format, Args&&... args) {
  return Status(StatusCode::kNotFound, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
Status Corrupt(fmt::format_string<Args...> format, Args&&... args) {
  return Status(StatusCode::kCorrupt, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
Status Unsupported(fmt::format_string<Args...> format, Args&&... args) {
  return Status(StatusCode::kUnsupported, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
Status ResourceExhausted(fmt::format_string<Args...> format, Args&&... args) {
  return Status(StatusCode::kResourceExhausted, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
Status Unavailable(fmt::format_string<Args...> format, Args&&... args) {
  return Status(StatusCode::kUnavailable, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
Status NotFinite(fmt::format_string<Args...> format, Args&&... args) {
  return Status(StatusCode::kNotFinite, fmt::format(format, std::forward<Args>(args)...));
}

// A value or the reason why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}                                  // NOLINT
  Result(Status status) : status_(std::move(status)) { assert(!status_.ok()); }  // NOLINT

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }

  // REQUIRES: ok().
  T& value() & {
    assert(ok());
    return *value_;
  }
  const T& value() const& {
    assert(ok());
    return *value_;
  }
  // By value: what is taken out of a temporary Result outlives it, in a range-for too.
  T value() && {
    assert(ok());
    return *std::move(value_);
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  Status status_;
  std::optional<T> value_;
};

}  // namespace kakeya

#define KAKEYA_CONCAT_INNER_(a, b) a##b
#define KAKEYA_CONCAT_(a, b) KAKEYA_CONCAT_INNER_(a, b)

// Returns from the enclosing function when `expr` (a Status) is an error.
#define KAKEYA_RETURN_IF_ERROR(expr)                        \
  do {                                                      \
    if (::kakeya::Status status_ = (expr); !status_.ok()) { \
      return status_;                                       \
    }                                                       \
  } while (false)

// KAKEYA_ASSIGN_OR_RETURN(auto x, F()): x = F()'s value, or return F()'s error.
#define KAKEYA_ASSIGN_OR_RETURN(lhs, expr) \
  KAKEYA_ASSIGN_OR_RETURN_IMPL_(KAKEYA_CONCAT_(result_, __LINE__), lhs, expr)
#define KAKEYA_ASSIGN_OR_RETURN_IMPL_(result, lhs, expr) \
  auto result = (expr);                                  \
  if (!result.ok()) return result.status();              \
  lhs = std::move(result).value()

#endif  // KAKEYA_BASE_STATUS_H_
