// What a job's output directory holds and what a new run may do with it; the CLI asks before
// anything is launched, rank 0 asks again. Thread: any. Errors: FAILED_PRECONDITION and
// INVALID_ARGUMENT with the way out; the file system's.
#ifndef LOCKSTEP_COMMON_CHECKPOINT_JOB_OUTPUT_H_
#define LOCKSTEP_COMMON_CHECKPOINT_JOB_OUTPUT_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "common/checkpoint/checkpoint_layout.h"
#include "common/checkpoint/checkpoint_reader.h"
#include "common/checkpoint/exporter_registry.h"
#include "common/env/file_system.h"
#include "common/plan/program.h"
#include "common/spec/job_spec.h"

namespace lockstep {

// Written last: a directory that has it holds a finished run.
inline constexpr char kResultName[] = "result.json";
inline constexpr char kMetricsName[] = "metrics.jsonl";

std::string CheckpointRoot(const std::string& output_directory);  // "<out>/checkpoints"

// Makes the directory where needed. Refuses one that cannot be written, and, unless `resume`, one
// that holds a finished result or the checkpoints of a run that did not finish.
absl::Status PrepareOutput(FileSystem& fs, const std::string& output_directory, bool resume);

// The exporters of output.formats.
absl::StatusOr<std::vector<const ExporterDef*>> ExportersOf(const JobSpec& spec);

// Names and shapes of all variables, in the order of the hash, and of the optimizers' state
// ("m/conv2d/kernel"): the layout of the job's checkpoints.
absl::StatusOr<CheckpointLayout> LayoutOfJob(const JobGraph& graph);
std::string StateName(absl::string_view slot, absl::string_view variable);

// The newest sound checkpoint of this very job; nullopt where there is none. Rejected ones are
// logged.
absl::StatusOr<std::optional<Checkpoint>> FindCheckpointOfJob(FileSystem& fs, const JobSpec& spec,
                                                              const JobGraph& graph);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_CHECKPOINT_JOB_OUTPUT_H_
