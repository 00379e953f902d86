// AttemptRecord: the note in <output>/.run that lets anybody find and remove what an attempt left,
// whoever died. Thread: any. Errors: INTERNAL and errno's codes; DATA_LOSS for a note that cannot
// be read. Invariant: written before the first directory of the attempt is made; removed after the
// last one is gone.
#ifndef LOCKSTEP_COORDINATOR_LAUNCH_ATTEMPT_RECORD_H_
#define LOCKSTEP_COORDINATOR_LAUNCH_ATTEMPT_RECORD_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "common/env/file_system.h"
#include "common/env/process_runner.h"

namespace lockstep {

struct AttemptRecord {
  int attempt = 0;
  std::string token = {};  // hexadecimal
  std::string boot_id = {};
  ProcessIdentity helper = {};  // leads the session of all processes; pid 0: not started yet
  std::vector<std::string> directories = {};  // each is named AttemptDirectoryName(token, attempt)

  friend bool operator==(const AttemptRecord&, const AttemptRecord&) = default;
};

std::string AttemptDirectoryName(const std::string& token,
                                 int attempt);                  // "lockstep-<token>-<attempt>"
std::string RunDirectory(const std::string& output_directory);  // "<output>/.run"

absl::Status WriteAttemptRecord(const std::string& run_directory, const AttemptRecord& record);
// NOT_FOUND if there is none. DATA_LOSS for anything malformed, directories of another name
// included: what the note names will be removed.
absl::StatusOr<AttemptRecord> ReadAttemptRecord(const std::string& run_directory);

// Kills what still runs of the attempt, never a stranger with a reused id, then removes its
// directories and the note.
absl::Status SweepAttempt(const std::string& run_directory, const AttemptRecord& record);

// How the launched program ended, written by the helper before it ends itself.
absl::Status WriteOutcome(const std::string& run_directory, const AttemptRecord& record,
                          const ProcessExit& exit);
// NOT_FOUND if there is none of this very attempt.
absl::StatusOr<ProcessExit> ReadOutcome(const std::string& run_directory, int attempt,
                                        const std::string& token);
absl::Status RemoveOutcome(const std::string& run_directory);  // absent is fine

// The right to run in an output directory: held by at most one live process, free again when that
// one dies.
class RunGuard {
 public:
  // Makes <output>/.run, takes its lock and sweeps what a dead run left there.
  // FAILED_PRECONDITION: another run is alive in this directory.
  static absl::StatusOr<RunGuard> Acquire(const std::string& output_directory);

 private:
  explicit RunGuard(std::unique_ptr<FileLock> lock) : lock_(std::move(lock)) {}

  std::unique_ptr<FileLock> lock_;
};

// Hexadecimal digits, different at every call on this machine since it booted: pid, start time, a
// count.
std::string MakeRunToken();

}  // namespace lockstep

#endif  // LOCKSTEP_COORDINATOR_LAUNCH_ATTEMPT_RECORD_H_
