// PrepareJob: from a validated spec to everything that can be known before training: graph,
// program, open data, matched; InspectData reads the data once. The CLI, the coordinator and every
// rank call the same code, so all refuse the same jobs with the same words. Thread: any. Errors:
// INVALID_ARGUMENT for what the job says; the data room's for its files.
#ifndef LOCKSTEP_COMMON_PLAN_PREPARED_JOB_H_
#define LOCKSTEP_COMMON_PLAN_PREPARED_JOB_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "common/base/range.h"
#include "common/data/dataset.h"
#include "common/data/dataset_format.h"
#include "common/data/manifest.h"
#include "common/plan/program.h"
#include "common/plan/static_plan.h"
#include "common/spec/job_spec.h"

namespace lockstep {

// One use of a data set: `samples` of it.
struct JobDataset {
  std::shared_ptr<const Dataset> dataset;  // shared by train and validation under validation_split
  DataSignature signature;
  Range samples;
};

struct PreparedJob {
  JobSpec spec;
  JobGraph graph;
  const ProgramDef* program = nullptr;
  JobDataset train;
  std::optional<JobDataset> validation;
  std::optional<JobDataset> test;

  int64_t steps_per_epoch() const;
  // The plan of one rank; outlived by the job.
  std::unique_ptr<StaticPlan> PlanFor(int32_t workers, int32_t rank) const;
  // Indices in StaticPlan::evaluations.
  static constexpr size_t kValidation = 0;
  size_t test_evaluation() const { return validation.has_value() ? 1 : 0; }
};

absl::StatusOr<std::unique_ptr<PreparedJob>> PrepareJob(JobSpec spec, DataEnvironment& environment);

// INVALID_ARGUMENT where there are more workers than shards.
absl::Status CheckWorkers(const JobSpec& spec, int64_t workers);

// What the samples hold, found by reading all of them.
struct DataFacts {
  Manifest train;
  std::optional<Manifest> validation;
  std::optional<Manifest> test;
  std::string hash;  // of training and validation data: what resuming must find again
};

// INVALID_ARGUMENT for a label outside the classes, naming the sample.
absl::StatusOr<DataFacts> InspectData(const PreparedJob& job);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_PLAN_PREPARED_JOB_H_
