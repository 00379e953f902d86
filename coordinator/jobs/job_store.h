// JobStore: where jobs survive. Thread: the job loop's. Errors: NOT_FOUND; RESOURCE_EXHAUSTED and
// DATA_LOSS of the medium. Invariant: Commit returns after the job is as durable as the store makes
// it; effects are performed only then.
#ifndef LOCKSTEP_COORDINATOR_JOBS_JOB_STORE_H_
#define LOCKSTEP_COORDINATOR_JOBS_JOB_STORE_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "coordinator/jobs/job.h"

namespace lockstep {

class JobStore {
 public:
  virtual ~JobStore() = default;
  virtual absl::Status Commit(const Job& job) = 0;  // new, or in place of the one with its id
  virtual absl::StatusOr<Job> Get(absl::string_view id) const = 0;
  virtual std::vector<Job> List() const = 0;  // in the order of their ids
};

}  // namespace lockstep

#endif  // LOCKSTEP_COORDINATOR_JOBS_JOB_STORE_H_
