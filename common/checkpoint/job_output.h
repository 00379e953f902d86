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
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "common/checkpoint/checkpoint_layout.h"
#include "common/checkpoint/checkpoint_reader.h"
#include "common/checkpoint/exporter_registry.h"
#include "common/checkpoint/tensor_view.h"
#include "common/env/file_system.h"
#include "common/plan/prepared_job.h"
#include "common/plan/program.h"
#include "common/spec/job_spec.h"

namespace lockstep {

// Written last: a directory that has it holds a finished run.
inline constexpr char kResultName[] = "result.json";
inline constexpr char kMetricsName[] = "metrics.jsonl";
inline constexpr char kSamplesName[] = "samples";

std::string CheckpointRoot(const std::string& output_directory);  // "<out>/checkpoints"

// Makes the directory where needed. Refuses one that cannot be written.
absl::Status MakeOutput(FileSystem& fs, const std::string& output_directory);
// Refuses one that holds a finished result or the checkpoints of a run that did not finish. To be
// asked by who has the directory for himself: another run changes what it holds.
absl::Status CheckOutputIsNew(FileSystem& fs, const std::string& output_directory);

// The exporters of output.formats.
absl::StatusOr<std::vector<const ExporterDef*>> ExportersOf(const JobSpec& spec);

// Names and shapes of all variables, in the order of the hash, and of the optimizers' state
// ("m/conv2d/kernel"): the layout of the job's checkpoints.
absl::StatusOr<CheckpointLayout> LayoutOfJob(const JobGraph& graph);
std::string StateName(absl::string_view slot, absl::string_view variable);

// The tensors of a model file, `name` in messages, in the order of the job's variables.
// FAILED_PRECONDITION where they are those of another model.
absl::StatusOr<std::vector<const TensorView*>> MatchVariables(absl::Span<const TensorView> tensors,
                                                              const JobGraph& graph,
                                                              absl::string_view name);

// Where a checkpoint keeps the content hash of its data (texts of ProgramState).
inline constexpr char kDataHashKey[] = "data_hash";

// The newest sound checkpoint of this very job; nullopt where there is none. Rejected ones are
// logged. FAILED_PRECONDITION where it is of another job, of other data (`data_hash` is that of
// now), or of a step after this job's last.
absl::StatusOr<std::optional<Checkpoint>> FindCheckpointOfJob(FileSystem& fs,
                                                              const PreparedJob& job,
                                                              const std::string& data_hash);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_CHECKPOINT_JOB_OUTPUT_H_
