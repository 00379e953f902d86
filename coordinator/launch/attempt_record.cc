#include "coordinator/launch/attempt_record.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "nlohmann/json.hpp"

#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "common/env/attempt_environment.h"
#include "common/env/file_system.h"

namespace lockstep {
namespace {

using Json = nlohmann::json;

constexpr int64_t kRecordBytesMax = int64_t{1} << 20;

absl::Status RemoveIfThere(const std::string& path) {
  const absl::Status removed = PosixFileSystem().RemoveFile(path);
  return absl::IsNotFound(removed) ? absl::OkStatus() : removed;
}

std::string RecordPath(const std::string& run_directory) {
  return absl::StrCat(run_directory, "/attempt.json");
}
std::string OutcomePath(const std::string& run_directory) {
  return absl::StrCat(run_directory, "/outcome.json");
}

bool IsHex(absl::string_view text) {
  return !text.empty() && text.size() <= 32 &&
         std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return absl::ascii_isxdigit(c); });
}

bool IsAttemptDirectory(absl::string_view path, const AttemptRecord& record) {
  const std::string suffix = absl::StrCat("/", AttemptDirectoryName(record.token, record.attempt));
  return path.substr(0, 1) == "/" && absl::ConsumeSuffix(&path, suffix);
}

AttemptRecord ParseRecord(const Json& json) {
  AttemptRecord record;
  record.attempt = json.at("attempt").get<int>();
  record.token = json.at("token").get<std::string>();
  record.boot_id = json.at("boot_id").get<std::string>();
  record.helper.pid = json.at("helper_pid").get<pid_t>();
  record.helper.start_ticks = json.at("helper_start_ticks").get<uint64_t>();
  record.directories = json.at("directories").get<std::vector<std::string>>();
  return record;
}

}  // namespace

std::string AttemptDirectoryName(const std::string& token, int attempt) {
  return absl::StrCat("lockstep-", token, "-", attempt);
}

std::string RunDirectory(const std::string& output_directory) {
  return absl::StrCat(output_directory, "/.run");
}

absl::Status WriteAttemptRecord(const std::string& run_directory, const AttemptRecord& record) {
  const Json json = {{"attempt", record.attempt},
                     {"token", record.token},
                     {"boot_id", record.boot_id},
                     {"helper_pid", record.helper.pid},
                     {"helper_start_ticks", record.helper.start_ticks},
                     {"directories", record.directories}};
  return ReplaceFileSynced(PosixFileSystem(), RecordPath(run_directory),
                           json.dump(-1, ' ', false, Json::error_handler_t::replace));
}

absl::StatusOr<AttemptRecord> ReadAttemptRecord(const std::string& run_directory) {
  const std::string path = RecordPath(run_directory);
  LOCKSTEP_ASSIGN_OR_RETURN(const std::string text,
                            ReadFile(PosixFileSystem(), path, kRecordBytesMax));
  AttemptRecord record;
  try {
    record = ParseRecord(Json::parse(text));
  } catch (const Json::exception& error) {
    return absl::DataLossError(
        absl::StrCat(path, ": ", error.what(), "; remove the file if no run is alive there"));
  }
  if (!IsHex(record.token))
    return absl::DataLossError(absl::StrCat(path, ": the token '", record.token, "' is not ours"));
  for (const std::string& directory : record.directories) {
    if (!IsAttemptDirectory(directory, record)) {
      return absl::DataLossError(
          absl::StrCat(path, ": the directory '", directory, "' is not ours; it was left alone"));
    }
  }
  return record;
}

absl::Status SweepAttempt(const std::string& run_directory, const AttemptRecord& record) {
  if (record.helper.pid > 1 && record.boot_id == BootId()) {
    const std::optional<ProcessIdentity> now = IdentifyProcess(record.helper.pid);
    // A leader with another start time is a stranger; the token tells our processes from those of
    // his session.
    const std::string mark = absl::StrCat(kTokenVariable, "=", record.token);
    const bool gone = now == record.helper ? KillSession(record.helper.pid)
                                           : KillSession(record.helper.pid, mark);
    if (!gone) {
      return absl::InternalError(absl::StrCat("attempt ", record.attempt, ": processes of session ",
                                              record.helper.pid, " do not end; end them by hand"));
    }
  }
  for (const std::string& directory : record.directories)
    LOCKSTEP_RETURN_IF_ERROR(PosixFileSystem().RemoveTree(directory));
  return RemoveIfThere(RecordPath(run_directory));
}

absl::Status WriteOutcome(const std::string& run_directory, const AttemptRecord& record,
                          const ProcessExit& exit) {
  const Json json = {{"attempt", record.attempt},
                     {"token", record.token},
                     {"code", exit.code},
                     {"signal", exit.signal}};
  return ReplaceFileSynced(PosixFileSystem(), OutcomePath(run_directory), json.dump());
}

absl::StatusOr<ProcessExit> ReadOutcome(const std::string& run_directory, int attempt,
                                        const std::string& token) {
  const std::string path = OutcomePath(run_directory);
  LOCKSTEP_ASSIGN_OR_RETURN(const std::string text,
                            ReadFile(PosixFileSystem(), path, kRecordBytesMax));
  try {
    const Json json = Json::parse(text);
    if (json.at("attempt").get<int>() != attempt || json.at("token").get<std::string>() != token) {
      return absl::NotFoundError(absl::StrCat(path, ": is of another attempt"));
    }
    return ProcessExit{.code = json.at("code").get<int>(), .signal = json.at("signal").get<int>()};
  } catch (const Json::exception& error) {
    return absl::DataLossError(absl::StrCat(path, ": ", error.what()));
  }
}

absl::Status RemoveOutcome(const std::string& run_directory) {
  return RemoveIfThere(OutcomePath(run_directory));
}

absl::StatusOr<RunGuard> RunGuard::Acquire(const std::string& output_directory) {
  const std::string run_directory = RunDirectory(output_directory);
  LOCKSTEP_RETURN_IF_ERROR(PosixFileSystem().MakeDirectories(run_directory));
  absl::StatusOr<std::unique_ptr<FileLock>> lock =
      PosixFileSystem().LockFile(JoinPath(run_directory, "lock"), LockWait::kTry);
  if (absl::IsUnavailable(lock.status())) {
    return absl::FailedPreconditionError(
        absl::StrCat(output_directory,
                     ": another run is using this directory; wait for it or choose another --out"));
  }
  LOCKSTEP_RETURN_IF_ERROR(lock.status());
  const absl::StatusOr<AttemptRecord> record = ReadAttemptRecord(run_directory);
  if (record.ok()) {
    LOCKSTEP_RETURN_IF_ERROR(SweepAttempt(run_directory, *record));
  } else if (!absl::IsNotFound(record.status())) {
    return record.status();
  }
  LOCKSTEP_RETURN_IF_ERROR(RemoveOutcome(run_directory));
  return RunGuard(*std::move(lock));
}

std::string MakeRunToken() {
  static std::atomic<unsigned> count{0};
  const std::optional<ProcessIdentity> self = IdentifyProcess(getpid());
  LOCKSTEP_CHECK(self.has_value());
  return absl::StrFormat("%x%08x%04x", static_cast<unsigned>(self->pid),
                         static_cast<uint32_t>(self->start_ticks), count.fetch_add(1) & 0xffffu);
}

}  // namespace lockstep
