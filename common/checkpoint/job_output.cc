#include "common/checkpoint/job_output.h"

#include <utility>

#include "absl/strings/str_cat.h"

#include "common/base/log.h"
#include "common/base/numerics_version.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/checkpoint_files.h"
#include "common/spec/job_identity.h"

namespace lockstep {

std::string CheckpointRoot(const std::string& output_directory) {
  return JoinPath(output_directory, "checkpoints");
}

absl::Status PrepareOutput(FileSystem& fs, const std::string& output_directory, bool resume) {
  const std::string where = absl::StrCat("output.directory '", output_directory, "'");
  if (const absl::Status made = fs.MakeDirectories(output_directory); !made.ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat(where, " cannot be made (", made.message(), "); choose another with --out"));
  }
  const std::string probe = JoinPath(output_directory, ".write-probe");
  absl::Status writable = fs.Open(probe, OpenMode::kTruncate).status();
  if (writable.ok()) writable = fs.RemoveFile(probe);
  if (!writable.ok()) {
    return absl::FailedPreconditionError(absl::StrCat(
        where, " cannot be written (", writable.message(), "); choose another with --out"));
  }
  if (resume) return absl::OkStatus();
  LOCKSTEP_ASSIGN_OR_RETURN(const bool finished,
                            fs.Exists(JoinPath(output_directory, kResultName)));
  if (finished) {
    return absl::FailedPreconditionError(
        absl::StrCat(where,
                     " holds a finished result; choose another with --out, or train it "
                     "further with --resume and more epochs"));
  }
  LOCKSTEP_ASSIGN_OR_RETURN(const std::vector<CheckpointName> checkpoints,
                            FindCheckpoints(fs, CheckpointRoot(output_directory)));
  if (!checkpoints.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat(where, " holds checkpoints up to step ", checkpoints.front().step,
                     "; go on from there with --resume, or choose another with --out"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<const ExporterDef*>> ExportersOf(const JobSpec& spec) {
  std::vector<const ExporterDef*> exporters;
  for (const std::string& format : spec.output().formats) {
    LOCKSTEP_ASSIGN_OR_RETURN(const ExporterDef* const exporter, FindExporter(format));
    exporters.push_back(exporter);
  }
  return exporters;
}

std::string StateName(absl::string_view slot, absl::string_view variable) {
  return absl::StrCat(slot, "/", variable);
}

absl::StatusOr<CheckpointLayout> LayoutOfJob(const JobGraph& graph) {
  std::vector<TensorSpec> variables;
  for (const ParameterSet::Variable& variable : graph.parameters->variables()) {
    variables.push_back({variable.path, variable.shape});
  }
  std::vector<TensorSpec> state;
  for (size_t m = 0; m < graph.models.size(); ++m) {
    for (const absl::string_view slot : graph.models[m].optimizer->state_slots()) {
      for (const ParameterSet::Variable& variable : graph.parameters->variables()) {
        if (variable.model != m || !variable.trainable) continue;
        state.push_back({StateName(slot, variable.path), variable.shape});
      }
    }
  }
  return CheckpointLayout::Create(std::move(variables), std::move(state));
}

absl::StatusOr<std::optional<Checkpoint>> FindCheckpointOfJob(FileSystem& fs, const JobSpec& spec,
                                                              const JobGraph& graph) {
  LOCKSTEP_ASSIGN_OR_RETURN(const CheckpointLayout layout, LayoutOfJob(graph));
  absl::StatusOr<LoadedCheckpoint> loaded =
      LoadCheckpoint(fs, CheckpointRoot(spec.output().directory),
                     {.numerics_version = kNumericsVersion,
                      .job_identity = CanonicalJobIdentity(spec),
                      .layout = &layout});
  if (absl::IsNotFound(loaded.status())) return std::optional<Checkpoint>();
  LOCKSTEP_RETURN_IF_ERROR(loaded.status());
  for (const RejectedCheckpoint& rejected : loaded->rejected) {
    Log(LogLevel::kWarning, "checkpoint_rejected",
        {{"path", rejected.path}, {"why", rejected.reason.message()}});
  }
  return std::optional<Checkpoint>(std::move(loaded->checkpoint));
}

}  // namespace lockstep
