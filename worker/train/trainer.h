// Trainer: the order of one step, the epochs, validation and test, the control word, and when to
// checkpoint. A plain object: in a test it runs with N in-process ranks. docs/LIFE_OF_A_STEP.md.
// Thread: the trainer's. Errors: the communicator's (UNAVAILABLE, DEADLINE_EXCEEDED); DATA_LOSS and
// INVALID_ARGUMENT of samples; OUT_OF_RANGE for a value that is NaN or infinite, naming step, layer
// and sample; INTERNAL for replicas that differ. Every rank does the same steps.
#ifndef LOCKSTEP_WORKER_TRAIN_TRAINER_H_
#define LOCKSTEP_WORKER_TRAIN_TRAINER_H_

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "common/base/compute_pool.h"
#include "common/data/dataset.h"
#include "common/env/clock.h"
#include "common/env/file_system.h"
#include "common/plan/static_plan.h"
#include "common/spec/job_spec.h"
#include "worker/comm/communicator.h"
#include "worker/data/batch_loader.h"
#include "worker/train/checkpointer.h"
#include "worker/train/control_word.h"
#include "worker/train/metric_sums.h"
#include "worker/train/owned_parameters.h"
#include "worker/train/step_executor.h"
#include "worker/train/step_times.h"
#include "worker/train/training_observer.h"

namespace lockstep {

// What others may ask of a running trainer; signal handlers set them.
struct TrainingRequests {
  std::atomic<bool> stop = false;        // checkpoint, then end
  std::atomic<bool> checkpoint = false;  // checkpoint and go on
};

// A data set as the trainer sees it.
struct TrainingData {
  const Dataset* dataset = nullptr;
  Range samples;          // of it
  size_t evaluation = 0;  // index in StaticPlan::evaluations; not of training data
};

struct TrainerParts {
  const JobSpec* spec = nullptr;
  const JobGraph* graph = nullptr;  // this rank's own
  const StaticPlan* plan = nullptr;
  Communicator* communicator = nullptr;
  ComputePool* pool = nullptr;
  TrainingData train;
  std::optional<TrainingData> validation;
  std::optional<TrainingData> test;
  FileSystem* fs = nullptr;
  const Clock* clock = nullptr;
  TrainingObserver* observer = nullptr;  // null but on rank 0
  TrainingRequests* requests = nullptr;
  std::string checkpoint_root;      // empty: no checkpoints
  std::string data_hash;            // of the manifest; kept in checkpoints
  int64_t fingerprint_every = 100;  // steps between comparisons of the replicas
};

struct TrainingResult {
  bool stopped = false;         // on request, after a checkpoint
  int64_t steps = 0;            // updates done in all
  int64_t epochs = 0;           // of which at least a part was trained
  MetricValues metrics;         // of the last epoch, then of the test ("test_loss")
  absl::Duration duration;      // from this attempt's first step to its last
  int64_t samples_trained = 0;  // in this attempt
};

class Trainer {
 public:
  // All parts outlive it. RESOURCE_EXHAUSTED where memory cannot be had. Every rank calls it.
  static absl::StatusOr<std::unique_ptr<Trainer>> Create(const TrainerParts& parts);

  // Step 0, with the initial values.
  void Initialize();
  // FAILED_PRECONDITION where the checkpoint is of other tensors.
  absl::Status Restore(const Checkpoint& checkpoint);

  // Until the job's last step or a request to stop. Every rank calls it once.
  absl::StatusOr<TrainingResult> Run();
  // One step of Run, for benches. With `times`, adds to it where the time went.
  absl::Status RunStep(StepTimes* times = nullptr);
  // Losses and metrics of a data set with the values of now; the names begin with `prefix`.
  absl::StatusOr<MetricValues> Evaluate(const TrainingData& data, absl::string_view prefix);
  // The same of the test set ("test_loss"), or, without one, the validation set ("val_loss").
  // FAILED_PRECONDITION where the job has neither.
  absl::StatusOr<MetricValues> EvaluateOne();

  int64_t step() const { return step_; }
  OwnedParameters& parameters() { return *parameters_; }
  StepExecutor& executor() { return *executor_; }
  int64_t checkpoints_failed() const { return checkpointer_->failed_count(); }

 private:
  explicit Trainer(const TrainerParts& parts);
  absl::Status CreateParts();
  Feed FeedOf(const FeedSlices& slices) const;
  BatchLoader LoaderOf(const TrainingData& data, const FeedSlices& slices,
                       const std::map<int64_t, double>& class_weight) const;

  absl::Status RunPhase(size_t phase);
  absl::Status Exchange(const ControlWord& word);
  absl::Status TakeOutcome();
  absl::Status AfterStep(const BatchSpan& batch);
  absl::Status NameNonFinite(absl::string_view where, const BatchLoader& loader,
                             const std::optional<NonFinite>& seen);
  absl::Status CloseEpoch();
  absl::Status DrainCheckpoint();
  void StartCheckpointIfDue();
  uint32_t RequestFlags();
  CheckpointInfo Info() const;
  void Report(const BatchSpan& batch, double loss);
  void TellPhase(absl::string_view phase);
  void Lap(StepPart part) {
    if (times_ != nullptr) times_->Lap(part, *parts_.clock);
  }

  // Constant after construction.
  const TrainerParts parts_;
  ShardPlan shards_;
  int64_t total_steps_;
  std::unique_ptr<StepExecutor> executor_;
  std::unique_ptr<OwnedParameters> parameters_;
  std::unique_ptr<StepExchange> exchange_;
  std::unique_ptr<CheckpointLayout> layout_;
  std::unique_ptr<Checkpointer> checkpointer_;
  std::unique_ptr<BatchLoader> loader_;

  // Of the trainer's thread.
  int64_t step_ = 0;           // updates done
  int64_t kept_step_ = -1;     // of the newest checkpoint that was begun or restored
  int64_t epochs_closed_ = 0;  // whose line has been reported
  MetricSums sums_;            // of the epoch that is open
  std::vector<double> running_;
  MetricValues last_epoch_;
  bool stop_ = false;
  bool checkpoint_due_ = false;
  absl::Duration last_checkpoint_;
  int64_t samples_trained_ = 0;
  StepTimes* times_ = nullptr;  // of a step that is timed
};

}  // namespace lockstep

#endif  // LOCKSTEP_WORKER_TRAIN_TRAINER_H_
