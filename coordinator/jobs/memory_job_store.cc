#include "coordinator/jobs/memory_job_store.h"

#include "absl/strings/str_cat.h"

namespace lockstep {

absl::Status MemoryJobStore::Commit(const Job& job) {
  jobs_.insert_or_assign(job.id, job);
  return absl::OkStatus();
}

absl::StatusOr<Job> MemoryJobStore::Get(absl::string_view id) const {
  const auto found = jobs_.find(std::string(id));
  if (found == jobs_.end())
    return absl::NotFoundError(absl::StrCat("job '", id, "': there is none of this id"));
  return found->second;
}

std::vector<Job> MemoryJobStore::List() const {
  std::vector<Job> jobs;
  for (const auto& [id, job] : jobs_) jobs.push_back(job);
  return jobs;
}

}  // namespace lockstep
