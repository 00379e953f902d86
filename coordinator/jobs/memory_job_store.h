// MemoryJobStore: jobs that live as long as this process; the store of `lockstep run`, whose
// checkpoints are the memory. Thread: the job loop's. Errors: NOT_FOUND.
#ifndef LOCKSTEP_COORDINATOR_JOBS_MEMORY_JOB_STORE_H_
#define LOCKSTEP_COORDINATOR_JOBS_MEMORY_JOB_STORE_H_

#include <map>
#include <string>
#include <vector>

#include "coordinator/jobs/job_store.h"

namespace lockstep {

class MemoryJobStore final : public JobStore {
 public:
  absl::Status Commit(const Job& job) override;
  absl::StatusOr<Job> Get(absl::string_view id) const override;
  std::vector<Job> List() const override;

 private:
  std::map<std::string, Job> jobs_;
};

}  // namespace lockstep

#endif  // LOCKSTEP_COORDINATOR_JOBS_MEMORY_JOB_STORE_H_
