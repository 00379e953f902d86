// TrainingRun: a job trained in this process by any number of ranks (threads), with data from
// memory; what it leaves: values, hash, reports.
#ifndef LOCKSTEP_TESTS_SUPPORT_TRAINING_RUN_H_
#define LOCKSTEP_TESTS_SUPPORT_TRAINING_RUN_H_

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

#include "common/data/dataset.h"
#include "worker/train/trainer.h"

namespace lockstep::testing {

// Remembers everything; nothing of it is durable.
class RecordingObserver final : public TrainingObserver {
 public:
  void OnStart(const RunReport& report) override { start = report; }
  void OnPhase(absl::string_view phase) override { phases.emplace_back(phase); }
  void OnStep(const StepReport& report) override {
    steps.push_back(report);
    if (on_step) on_step(report);
  }
  void OnEpoch(const EpochReport& report) override { epochs.push_back(report); }
  void OnPictures(PicturesReport report) override { pictures.push_back(std::move(report)); }
  void OnCheckpoint(int64_t step) override { checkpoints.push_back(step); }
  void OnCheckpointFailed(const absl::Status& status) override { failures.push_back(status); }
  absl::Status MakeDurable() override { return absl::OkStatus(); }

  RunReport start;
  std::vector<std::string> phases;
  std::vector<StepReport> steps;
  std::vector<EpochReport> epochs;
  std::vector<PicturesReport> pictures;
  std::vector<int64_t> checkpoints;
  std::vector<absl::Status> failures;
  std::function<void(const StepReport&)> on_step;
};

struct TrainingRunOptions {
  std::string job;                      // YAML; data sources are ignored but must be there
  const ProgramDef* program = nullptr;  // null: the one that the job names
  const Dataset* train = nullptr;
  const Dataset* validation = nullptr;
  const Dataset* test = nullptr;
  int ranks = 1;
  int threads = 1;
  int hosts = 1;
  FileSystem* fs = nullptr;  // null: the real one
  std::string checkpoint_root = {};
  bool resume = false;  // from the newest checkpoint, if there is one
  TrainingRequests* requests = nullptr;
  RecordingObserver* observer = nullptr;
  int64_t fingerprint_every = 1;
};

struct TrainingRunResult {
  TrainingResult result;  // of rank 0
  std::string model_sha256;
  std::vector<std::vector<float>> variables;  // in the order of the hash
};

// The statuses of all ranks must agree on success; the first failure that explains is returned.
absl::StatusOr<TrainingRunResult> RunTraining(const TrainingRunOptions& options);

}  // namespace lockstep::testing

#endif  // LOCKSTEP_TESTS_SUPPORT_TRAINING_RUN_H_
