// TrainingObserver: what rank 0 tells the world of a run; the trainer knows no file and no network.
// Thread: the trainer's, but for MakeDurable. Implementations return at once and never fail.
#ifndef LOCKSTEP_WORKER_TRAIN_TRAINING_OBSERVER_H_
#define LOCKSTEP_WORKER_TRAIN_TRAINING_OBSERVER_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "common/plan/program.h"

namespace lockstep {

// Name and value, in the order in which they are shown: loss first.
using MetricValues = std::vector<std::pair<std::string, double>>;

struct RunReport {
  std::vector<std::string> metric_names;  // "loss", "accuracy"
  int64_t first_step = 0;                 // updates done before this attempt
  int64_t total_steps = 0;                // after which the run ends
  int64_t steps_per_epoch = 0;
  int64_t samples = 0;        // in an epoch
  int64_t epochs_closed = 0;  // whose reports earlier attempts have made
};

struct StepReport {
  int64_t step = 0;                  // updates done, this one included
  int64_t epoch = 0;                 // from 1
  double loss = 0;                   // mean over this batch, before the update
  int64_t samples = 0;               // of this batch
  absl::Span<const double> running;  // means over the epoch so far, in the order of the run's names
};

struct EpochReport {
  int64_t step = 0;
  int64_t epoch = 0;     // from 1
  MetricValues metrics;  // means over the epoch, then those of the validation ("val_loss")
};

// After an epoch, on programs that show pictures.
struct PicturesReport {
  int64_t epoch = 0;  // from 1
  PictureSheet sheet;
  std::vector<uint8_t> bytes;  // picture by picture, row-major: [rows * columns][elements]
};

class TrainingObserver {
 public:
  virtual ~TrainingObserver() = default;
  // Before all else.
  virtual void OnStart(const RunReport& report) = 0;
  // "train", "evaluate", "checkpoint", "export", ...: what goes on when steps do not move.
  virtual void OnPhase(absl::string_view phase) = 0;
  virtual void OnStep(const StepReport& report) = 0;
  virtual void OnEpoch(const EpochReport& report) = 0;
  virtual void OnPictures(PicturesReport report) = 0;
  virtual void OnCheckpoint(int64_t step) = 0;
  virtual void OnCheckpointFailed(const absl::Status& status) = 0;
  // Everything reported up to the last step of this call is on disk. Thread: any.
  virtual absl::Status MakeDurable() = 0;
};

}  // namespace lockstep

#endif  // LOCKSTEP_WORKER_TRAIN_TRAINING_OBSERVER_H_
