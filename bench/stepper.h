// Stepper: one rank of a job in this process, initialized and ready to step as often as wanted.
// Thread: the rank's. Errors: none; a bench that cannot run ends the process with a message.
#ifndef LOCKSTEP_BENCH_STEPPER_H_
#define LOCKSTEP_BENCH_STEPPER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"

#include "common/base/compute_pool.h"
#include "common/data/data_cache.h"
#include "common/plan/prepared_job.h"
#include "worker/comm/communicator.h"
#include "worker/train/trainer.h"

namespace lockstep::bench {

struct StepSetup {
  std::string job_file;
  int64_t batch_size = 32;
  int64_t shards = 1;
  int workers = 1;
  int threads = 1;  // of each worker
};

class Stepper {
 public:
  // The job with the batch size and shards of `setup` and its other training options at their
  // defaults.
  Stepper(const StepSetup& setup, Communicator& communicator);

  // All ranks together.
  void Run(int steps);

  struct CallTime {
    std::string label;
    double seconds = 0;  // the best
    double flops = 0;
    double bytes = 0;
  };
  // The calls of a step in order; all ranks together.
  std::vector<CallTime> TimeCalls(int steps);

  // Of one step on all ranks: the products of weights, forward and backward, as the model needs
  // them: no padding, nothing twice.
  double flops() const;
  int64_t plan_bytes() const { return plan_->bytes(); }  // memory of this rank

 private:
  absl::Status Prepare(Communicator& communicator);

  StepSetup setup_;
  DataCache cache_;
  DataEnvironment environment_;
  ComputePool pool_;
  TrainingRequests requests_;
  std::unique_ptr<PreparedJob> job_;
  std::unique_ptr<StaticPlan> plan_;
  std::unique_ptr<Trainer> trainer_;
};

// Runs `body` as every rank of the setup.
void AsRanks(const StepSetup& setup, absl::FunctionRef<void(Communicator&)> body);

}  // namespace lockstep::bench

#endif  // LOCKSTEP_BENCH_STEPPER_H_
