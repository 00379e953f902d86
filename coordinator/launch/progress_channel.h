// ProgressChannel: what the workers of one attempt say about it, one JSON object a line through a
// FIFO:
//   {"kind":"run","first_step":0,...}
//   {"kind":"phase","phase":"load|train|evaluate|checkpoint|export"}
//   {"kind":"step","step":7,"epoch":1,"loss":0.4,...}
//   {"kind":"checkpoint","step":500}   {"kind":"epoch",...}
//   {"kind":"error","code":65,"rank":1,"message":"..."}
// Thread: one. Errors: INTERNAL where the FIFO cannot be made. Lines that are no such object are
// dropped and counted: the writer may die within one. Any rank may write; a line of at most
// PIPE_BUF bytes arrives whole.
#ifndef LOCKSTEP_COORDINATOR_LAUNCH_PROGRESS_CHANNEL_H_
#define LOCKSTEP_COORDINATOR_LAUNCH_PROGRESS_CHANNEL_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "common/env/fifo.h"

namespace lockstep {

struct ProgressLine {
  enum class Kind { kRun, kPhase, kStep, kEpoch, kCheckpoint, kError, kOther };
  Kind kind = Kind::kOther;
  int64_t step = 0;          // kRun (done before this attempt), kStep, kCheckpoint
  std::string phase = {};    // kPhase
  int code = 0;              // kError: the exit code that the rank is about to end with
  std::string message = {};  // kError
  std::string json = {};     // the whole line
};

// nullopt for anything but an object with a string `kind` and sound fields.
std::optional<ProgressLine> ParseProgressLine(absl::string_view line);

class ProgressChannel {
 public:
  // Makes the FIFO at `path`, which must not exist.
  static absl::StatusOr<ProgressChannel> Create(const std::string& path);

  // All whole lines that have arrived since the last call. Never blocks.
  std::vector<ProgressLine> Poll();
  int64_t dropped_lines() const { return dropped_lines_; }

 private:
  explicit ProgressChannel(FifoReader reader) : reader_(std::move(reader)) {}

  FifoReader reader_;
  std::string partial_;
  bool skipping_ = false;  // inside a line that is too long
  int64_t dropped_lines_ = 0;
};

}  // namespace lockstep

#endif  // LOCKSTEP_COORDINATOR_LAUNCH_PROGRESS_CHANNEL_H_
