// ExitCode: what a worker process tells its supervisor by ending, and what the supervisor does
// about it. Thread: pure. Errors: none. Invariant: all codes are below 128, where shells and mpirun
// report signals. The CLI's own codes (0, 1, 2, 3, 69, 130) are another table; these never reach a
// user's shell.
#ifndef LOCKSTEP_COMMON_BASE_EXIT_CODES_H_
#define LOCKSTEP_COMMON_BASE_EXIT_CODES_H_

#include <array>

#include "absl/status/status.h"

namespace lockstep {

enum class ExitCode : int {
  kOk = 0,
  kUserError = 65,    // the job or its data can never work
  kDataLoss = 66,     // a checksum failed, or every checkpoint is corrupt
  kNonFinite = 67,    // NaN or infinity in data, loss or gradients
  kLostPeer = 69,     // a peer died or stayed silent; the cause is elsewhere
  kInternal = 70,     // a bug of ours
  kOutOfMemory = 71,  // the plan does not fit, or an allocation failed
  kDiskFull = 73,     // the result could not be written
  kStopped = 75,      // checkpointed and stopped, as asked
  kFenced = 83,       // a newer attempt owns the job
};

enum class RetryClass {
  kDone,     // the job has succeeded
  kStopped,  // ended on request; it can be resumed
  kRetry,    // another attempt from the last checkpoint may succeed
  kNever,    // another attempt would end the same way
};

struct ExitCodeInfo {
  ExitCode code;
  const char* name;
  RetryClass retry;
  const char* meaning;
};

inline constexpr std::array<ExitCodeInfo, 10> kExitCodes = {{
    {ExitCode::kOk, "OK", RetryClass::kDone, "finished"},
    {ExitCode::kUserError, "USER_ERROR", RetryClass::kNever, "the job or its data is wrong"},
    {ExitCode::kDataLoss, "DATA_LOSS", RetryClass::kNever, "stored data is corrupt"},
    {ExitCode::kNonFinite, "NON_FINITE", RetryClass::kNever, "a value became NaN or infinite"},
    {ExitCode::kLostPeer, "LOST_PEER", RetryClass::kRetry, "a worker lost its peers"},
    {ExitCode::kInternal, "INTERNAL", RetryClass::kRetry, "a worker failed inside"},
    {ExitCode::kOutOfMemory, "OUT_OF_MEMORY", RetryClass::kNever, "a worker ran out of memory"},
    {ExitCode::kDiskFull, "DISK_FULL", RetryClass::kNever, "the result could not be written"},
    {ExitCode::kStopped, "STOPPED", RetryClass::kStopped, "stopped after a checkpoint"},
    {ExitCode::kFenced, "FENCED", RetryClass::kRetry, "a newer attempt took over"},
}};

// The row of `code`, or null for a code that no worker of ours chooses (mpirun's 1, a signal's 128
// + n).
inline constexpr const ExitCodeInfo* FindExitCode(int code) {
  for (const ExitCodeInfo& info : kExitCodes) {
    if (static_cast<int>(info.code) == code) return &info;
  }
  return nullptr;
}

// The code of a worker that ends with `status`. A non-finite value, a full disk and a requested
// stop have no status code of their own: whoever knows of them chooses the exit code itself.
inline ExitCode ExitCodeFor(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return ExitCode::kOk;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kUnimplemented:
      return ExitCode::kUserError;
    case absl::StatusCode::kDataLoss:
      return ExitCode::kDataLoss;
    case absl::StatusCode::kResourceExhausted:
      return ExitCode::kOutOfMemory;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
      return ExitCode::kLostPeer;
    case absl::StatusCode::kAborted:
      return ExitCode::kFenced;
    default:
      return ExitCode::kInternal;
  }
}

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_BASE_EXIT_CODES_H_
