// CheckpointWriter: does the slow parts of a checkpoint on a thread of its own while training goes
// on; one at a time. Thread: every call by the thread that owns it. Errors: UNAVAILABLE from
// Start... while one is in flight or its outcome has not been taken: skip this checkpoint or
// Wait(); it never queues up. Failed writes are in the outcome; training goes on. Invariant: the
// memory of a snapshot is read until the outcome is taken, so it must not change before.
#ifndef LOCKSTEP_COMMON_CHECKPOINT_CHECKPOINT_WRITER_H_
#define LOCKSTEP_COMMON_CHECKPOINT_CHECKPOINT_WRITER_H_

#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"

#include "common/base/background_worker.h"
#include "common/checkpoint/checkpoint_files.h"
#include "common/checkpoint/checkpoint_layout.h"
#include "common/env/file_system.h"

namespace lockstep {

struct CheckpointOutcome {
  absl::Status status;
  std::string directory;          // of StartPrepare
  RangeDigests ranges;            // of StartWrite
  PublishedCheckpoint published;  // of StartPublish
  absl::Status
      pruned;  // of StartPublish; the checkpoint stands even if older ones could not be removed
};

class CheckpointWriter {
 public:
  // Both outlive the writer.
  CheckpointWriter(FileSystem& fs, const CheckpointLayout& layout);
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;
  // The destructor finishes what is in flight.

  // Rank 0: PrepareCheckpoint.
  absl::Status StartPrepare(std::string root, int64_t step);
  // Every rank: WriteOwnedRanges.
  absl::Status StartWrite(std::string directory, OwnedSnapshot snapshot);
  // Rank 0: `before`, PublishCheckpoint, then PruneCheckpoints to `keep`. On failure the temporary
  // directory is removed. `before` makes durable what the checkpoint promises beside itself.
  absl::Status StartPublish(PublishRequest request, int keep,
                            std::function<absl::Status()> before = nullptr);

  // Nothing was started, or its outcome has been taken.
  bool idle() const { return !started_; }
  // The outcome of what was started, once; nullopt while it runs. Never blocks on the disk.
  std::optional<CheckpointOutcome> Poll();
  // The same, when it is there. Something must have been started.
  CheckpointOutcome Wait();

 private:
  absl::Status Start(std::function<CheckpointOutcome()> task);

  FileSystem& fs_;
  const CheckpointLayout& layout_;
  bool started_ = false;
  CheckpointOutcome outcome_;              // the worker's while it is busy
  BackgroundWorker worker_{"checkpoint"};  // last: it ends first
};

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_CHECKPOINT_CHECKPOINT_WRITER_H_
