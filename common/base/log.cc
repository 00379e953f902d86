#include "common/base/log.h"

#include <atomic>
#include <memory>
#include <mutex>
#include <utility>

#include "absl/strings/ascii.h"
#include "spdlog/sinks/base_sink.h"
#include "spdlog/sinks/stdout_sinks.h"
#include "spdlog/spdlog.h"

namespace lockstep {
namespace {

using Line = std::function<void(absl::string_view)>;

class FunctionSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit FunctionSink(Line line) : line_(std::move(line)) {}

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t buffer;
    formatter_->format(message, buffer);
    absl::string_view text(buffer.data(), buffer.size());
    while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
    line_(text);
  }
  void flush_() override {}

  Line line_;
};

struct Logger {
  std::shared_ptr<spdlog::logger> logger;
  std::string identity;  // " job=7 attempt=1 rank=0"
};

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kOff:
      break;
  }
  return spdlog::level::off;
}

std::shared_ptr<const Logger> MakeLogger(LogOptions options) {
  spdlog::sink_ptr sink;
  if (options.sink) {
    sink = std::make_shared<FunctionSink>(std::move(options.sink));
  } else {
    sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  }
  auto made = std::make_shared<Logger>();
  made->logger = std::make_shared<spdlog::logger>("lockstep", std::move(sink));
  made->logger->set_level(ToSpdlog(options.level));
  made->logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
  made->logger->flush_on(spdlog::level::info);
  if (!options.job.empty()) {
    made->identity = absl::StrCat(" ", FormatLogFields({{"job", options.job}}));
  }
  if (options.attempt >= 0) absl::StrAppend(&made->identity, " attempt=", options.attempt);
  if (options.rank >= 0) absl::StrAppend(&made->identity, " rank=", options.rank);
  return made;
}

// Never destroyed: threads may log until the process is gone.
std::shared_ptr<const Logger>& Current() {
  static auto* const current =
      new std::shared_ptr<const Logger>(MakeLogger({.level = LogLevel::kWarning}));
  return *current;
}

bool IsPlain(absl::string_view text) {
  if (text.empty()) return false;
  for (const char c : text) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) return false;
    if (c == ' ' || c == '"' || c == '=' || c == '\\') return false;
  }
  return true;
}

std::string Escape(absl::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      escaped += {'\\', c};
    } else if (c == '\n') {
      escaped += "\\n";
    } else if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) {
      absl::StrAppend(&escaped, "\\x", absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
    } else {
      escaped += c;
    }
  }
  return escaped;
}

}  // namespace

void StartLog(LogOptions options) { std::atomic_store(&Current(), MakeLogger(std::move(options))); }

void Log(LogLevel level, absl::string_view event, LogFields fields) {
  const std::shared_ptr<const Logger> current = std::atomic_load(&Current());
  const spdlog::level::level_enum spdlog_level = ToSpdlog(level);
  if (!current->logger->should_log(spdlog_level)) return;
  std::string line = absl::StrCat(event, current->identity);
  if (fields.size() > 0) absl::StrAppend(&line, " ", FormatLogFields(fields));
  current->logger->log(spdlog_level, spdlog::string_view_t(line.data(), line.size()));
}

std::string FormatLogFields(LogFields fields) {
  std::string line;
  for (const LogField& field : fields) {
    const absl::string_view text = field.value.text();
    absl::StrAppend(&line, line.empty() ? "" : " ", field.key, "=");
    if (IsPlain(text)) {
      absl::StrAppend(&line, text);
    } else {
      absl::StrAppend(&line, "\"", Escape(text), "\"");
    }
  }
  return line;
}

}  // namespace lockstep
