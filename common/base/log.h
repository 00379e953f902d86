// Log: structured events, one logfmt line each, to stderr: `<utc time> info bucket_reduced job=7
// attempt=1 rank=0 step=3`. Thread: any, after StartLog. Errors: none; a line that cannot be
// written is lost. Invariant: every line carries the job, attempt and rank of this process where
// they are known.
#ifndef LOCKSTEP_COMMON_BASE_LOG_H_
#define LOCKSTEP_COMMON_BASE_LOG_H_

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace lockstep {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };

// A field's value, already text: numbers as StrCat writes them, durations as "1.5s", statuses by
// ToString().
class LogValue {
 public:
  LogValue(absl::string_view text) : text_(text) {}          // NOLINT(google-explicit-constructor)
  LogValue(const std::string& text) : text_(text) {}         // NOLINT(google-explicit-constructor)
  LogValue(const char* text) : text_(text) {}                // NOLINT(google-explicit-constructor)
  LogValue(bool value) : text_(value ? "true" : "false") {}  // NOLINT(google-explicit-constructor)
  LogValue(absl::Duration d)
      : text_(absl::FormatDuration(d)) {}  // NOLINT(google-explicit-constructor)
  template <typename T, typename = std::enable_if_t<std::is_arithmetic_v<T>>>
  LogValue(T number) : text_(absl::StrCat(number)) {}  // NOLINT(google-explicit-constructor)

  absl::string_view text() const { return text_; }

 private:
  std::string text_;
};

struct LogField {
  absl::string_view key;
  LogValue value;
};
using LogFields = std::initializer_list<LogField>;

struct LogOptions {
  LogLevel level = LogLevel::kInfo;
  std::string job = {};  // empty: not known, not printed
  int attempt = -1;      // -1: not known, not printed
  int rank = -1;         // -1: not a worker, not printed
  // Receives each line (without newline) instead of stderr. For tests and for the CLI, which owns
  // the terminal.
  std::function<void(absl::string_view line)> sink = {};
};

// Once per process, early in main; a second call replaces the first. Before it events of kWarning
// and above go to stderr.
void StartLog(LogOptions options);

void Log(LogLevel level, absl::string_view event, LogFields fields = {});
inline void Log(absl::string_view event, LogFields fields = {}) {
  Log(LogLevel::kInfo, event, fields);
}

// "key=value key=\"two words\"": values with spaces, quotes, '=' or control bytes are quoted and
// escaped.
std::string FormatLogFields(LogFields fields);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_BASE_LOG_H_
