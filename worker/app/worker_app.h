// RunWorker: one rank of a job, from its flags to its exit code; the only place where a worker's
// objects are wired together. Thread: the main one, which becomes the trainer's.
// Errors: as ExitCode (common/base/exit_codes.h); the message goes to stderr and to the supervisor.
#ifndef LOCKSTEP_WORKER_APP_WORKER_APP_H_
#define LOCKSTEP_WORKER_APP_WORKER_APP_H_

#include <string>

#include "common/base/exit_codes.h"
#include "common/spec/job_spec.h"

namespace lockstep {

struct WorkerOptions {
  std::string job_file;
  OverrideWords overrides;
  bool resume = false;   // from the newest checkpoint, if there is one
  std::string evaluate;  // a model file: measure it on the job's data instead of training
};

// Under mpirun, or alone as one worker.
ExitCode RunWorker(const WorkerOptions& options);

}  // namespace lockstep

#endif  // LOCKSTEP_WORKER_APP_WORKER_APP_H_
