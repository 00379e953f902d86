// What the commands that take a job file share: its options, and everything that can be found wrong
// before anything is started. Thread: the main one. Errors: INVALID_ARGUMENT and
// FAILED_PRECONDITION with file, key, value and the way out; RESOURCE_EXHAUSTED for a plan that
// does not fit.
#ifndef LOCKSTEP_CLI_JOB_REQUEST_H_
#define LOCKSTEP_CLI_JOB_REQUEST_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "common/data/data_cache.h"
#include "common/plan/prepared_job.h"
#include "common/spec/job_spec.h"

namespace CLI {
class App;
}  // namespace CLI

namespace lockstep::cli {

struct JobRequest {
  std::string file;
  OverrideWords overrides;
};

// The job file and the options that override its resources.
void AddResourceOptions(CLI::App& app, JobRequest& request);
// The same and those that override its training and output.
void AddJobOptions(CLI::App& app, JobRequest& request);

absl::StatusOr<JobSpec> LoadJob(const JobRequest& request);
// Says which file a message is about that names only a key of it.
absl::Status InFile(const JobRequest& request, const absl::Status& status);

// " job.yaml --steps 20": the words of a command line that asks for the same, quoted for a shell.
std::string CommandLineOf(const JobRequest& request);

// A job with its data open; what it points to lives with it.
struct OpenJob {
  std::unique_ptr<DataCache> cache;
  std::unique_ptr<PreparedJob> prepared;
  std::vector<int64_t> worker_bytes;  // of each rank, exact
};

// Model, data headers, workers, output formats and memory plan; no sample is read.
absl::StatusOr<OpenJob> OpenAndPlan(JobSpec spec);

// Whether all workers fit in this host's memory together, and each in resources.memory.
absl::Status CheckMemory(const OpenJob& job);

}  // namespace lockstep::cli

#endif  // LOCKSTEP_CLI_JOB_REQUEST_H_
