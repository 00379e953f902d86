// WorkerRun: the way of one rank through a job, in order: the spec from rank 0, the data, the plan,
// the memory, the output directory, the checkpoint, training, the result. After each part that may
// fail on one rank alone all ranks agree. Thread: the trainer's. Errors: as ExitCodeOf says.
#ifndef LOCKSTEP_WORKER_APP_WORKER_RUN_H_
#define LOCKSTEP_WORKER_APP_WORKER_RUN_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"

#include "common/base/compute_pool.h"
#include "common/base/exit_codes.h"
#include "common/checkpoint/checkpoint_reader.h"
#include "common/data/data_cache.h"
#include "common/env/file_system.h"
#include "common/plan/prepared_job.h"
#include "worker/app/worker_app.h"
#include "worker/comm/communicator.h"
#include "worker/comm/mpi/mpi_session.h"
#include "worker/report/run_reporter.h"
#include "worker/train/trainer.h"

namespace lockstep {

class WorkerRun {
 public:
  // All outlive the run. `supervised`: somebody reads the progress pipe and owns the output
  // directory.
  struct Parts {
    MpiSession* session;
    FileSystem* fs;
    TrainingRequests* requests;
    std::string progress_pipe;
    bool supervised = false;
  };
  WorkerRun(const WorkerOptions& options, const Parts& parts);

  absl::Status Run();
  // After Run: whether it ended by request, with a checkpoint.
  bool stopped() const { return stopped_; }
  // Whether the failure is known to all ranks alike.
  bool agreed() const { return agreed_; }
  // After such a failure: waits until all ranks are here. mpirun kills the others when one ends.
  void LeaveTogether();
  // Whether the failure is a value that is not finite, a full disk, ...: what a status cannot say.
  ExitCode ExitCodeOf(const absl::Status& status) const;

 private:
  absl::Status ReceiveJob();
  absl::Status OpenData();
  absl::Status CheckData();
  absl::Status PlanMemory();
  absl::Status TakeOutput();
  absl::Status MakeTrainer();
  absl::Status RestoreOrInitialize();
  absl::Status Train();
  absl::Status Evaluate();
  absl::Status Finish(const TrainingResult& result);
  absl::Status Export(const TrainingResult& result);
  absl::Status Agree(const absl::Status& mine);
  bool leads() const { return parts_.session->rank() == 0; }
  void Say(absl::string_view text) const;

  const WorkerOptions options_;
  const Parts parts_;
  DataCache cache_;
  DataEnvironment environment_;
  std::optional<JobSpec> spec_;
  std::unique_ptr<Communicator> communicator_;
  std::unique_ptr<PreparedJob> job_;
  std::string data_hash_;
  std::unique_ptr<StaticPlan> plan_;
  std::unique_ptr<FileLock> output_lock_;
  std::unique_ptr<ComputePool> pool_;
  std::unique_ptr<RunReporter> reporter_;  // on rank 0
  std::unique_ptr<Trainer> trainer_;
  bool training_ = false;   // statuses are the trainer's
  bool exporting_ = false;  // ... or of writing the result
  bool stopped_ = false;
  bool agreed_ = false;
};

}  // namespace lockstep

#endif  // LOCKSTEP_WORKER_APP_WORKER_RUN_H_
