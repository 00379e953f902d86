// Checkpointer: carries one checkpoint at a time from a snapshot to the disk while training goes
// on. Its stages advance with the control word, so all ranks are in the same one: rank 0 prepares a
// directory, every rank writes what it owns, rank 0 publishes (docs/FORMATS.md#checkpoints).
// Thread: the trainer's; the disk work is on a thread of its own.
// Errors: the communicator's. A failed write is no error: the checkpoint is given up, logged and
// counted, and training goes on with the last good one.
#ifndef LOCKSTEP_WORKER_TRAIN_CHECKPOINTER_H_
#define LOCKSTEP_WORKER_TRAIN_CHECKPOINTER_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"

#include "common/checkpoint/checkpoint_layout.h"
#include "common/checkpoint/checkpoint_manifest.h"
#include "common/checkpoint/checkpoint_writer.h"
#include "common/env/file_system.h"
#include "worker/comm/communicator.h"
#include "worker/train/control_word.h"
#include "worker/train/owned_parameters.h"

namespace lockstep {

class Checkpointer {
 public:
  struct Parts {
    FileSystem* fs;
    Communicator* communicator;
    OwnedParameters* parameters;
    const CheckpointLayout* layout;
    std::string root;  // <out>/checkpoints
    int keep = 3;
    // Rank 0: makes the metrics up to the snapshot durable; called on the writer's thread.
    std::function<absl::Status()> before_publish;
  };
  explicit Checkpointer(const Parts& parts);

  bool idle() const { return stage_ == Stage::kIdle; }
  // The newest checkpoint that this attempt has published; -1: none yet.
  int64_t published_step() const { return published_step_; }
  int failed_count() const { return failed_count_; }
  // Why the last one was given up, in the words of the first rank that failed.
  const absl::Status& last_failure() const { return last_failure_; }

  // Copies the state of now. All ranks, at the same step, when idle.
  void Start(CheckpointInfo info);
  // What this rank says of the stage, for its control word: kReady, kFailed or nothing.
  uint32_t Flags();
  // After every exchange of control words; enters the next stage when all ranks are ready.
  absl::Status Advance(const StepOutcome& outcome);
  // Blocks until this rank's part of the stage is done, so that the next Flags says kReady.
  void WaitForStage();

 private:
  enum class Stage { kIdle, kPreparing, kWriting, kPublishing };

  void Take(CheckpointOutcome outcome);
  absl::Status EnterWriting();
  absl::Status EnterPublishing();
  void Finish();
  absl::StatusOr<RangeDigests> GatherDigests();
  bool leads() const { return parts_.communicator->rank() == 0; }

  const Parts parts_;
  CheckpointWriter writer_;
  Stage stage_ = Stage::kIdle;
  CheckpointInfo info_;
  CheckpointOutcome outcome_;  // of this rank's part of the stage
  std::string directory_;
  int64_t published_step_ = -1;
  int failed_count_ = 0;
  absl::Status last_failure_;
};

}  // namespace lockstep

#endif  // LOCKSTEP_WORKER_TRAIN_CHECKPOINTER_H_
