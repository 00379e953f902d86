#include "common/checkpoint/job_output.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

#include "common/base/log.h"
#include "common/base/numerics_version.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/checkpoint_files.h"
#include "common/spec/job_identity.h"

namespace lockstep {
namespace {

std::string Where(const std::string& output_directory) {
  return absl::StrCat("output.directory '", output_directory, "'");
}

// Whether the job, data and end of now go on from a checkpoint that is sound and of the same job.
absl::Status CheckGoesOn(const Checkpoint& checkpoint, const PreparedJob& job,
                         const std::string& data_hash) {
  const std::string where = absl::StrCat("checkpoint '", checkpoint.path, "'");
  const CheckpointInfo& info = checkpoint.manifest.info;
  const auto hash = info.program.texts.find(kDataHashKey);
  if (hash != info.program.texts.end() && hash->second != data_hash) {
    return absl::FailedPreconditionError(
        absl::StrCat(where, ": it was made from other data (content hash ", hash->second, ", now ",
                     data_hash, "); restore the data, or start anew with another --out"));
  }
  const int64_t last_step = job.spec.train().total_steps(job.steps_per_epoch());
  if (info.step <= last_step) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(where, ": this job ends after step ", last_step,
                   "; ask for more with --steps or --epochs, or start anew with another --out"));
}

}  // namespace

std::string CheckpointRoot(const std::string& output_directory) {
  return JoinPath(output_directory, "checkpoints");
}

absl::Status MakeOutput(FileSystem& fs, const std::string& output_directory) {
  const std::string where = Where(output_directory);
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
  return absl::OkStatus();
}

absl::Status CheckOutputIsNew(FileSystem& fs, const std::string& output_directory) {
  const std::string where = Where(output_directory);
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

absl::StatusOr<std::vector<const TensorView*>> MatchVariables(absl::Span<const TensorView> tensors,
                                                              const JobGraph& graph,
                                                              absl::string_view name) {
  constexpr absl::string_view kWayOut = "; give a model that was trained by this job";
  std::vector<const TensorView*> matched;
  for (const ParameterSet::Variable& variable : graph.parameters->variables()) {
    const auto found = std::find_if(tensors.begin(), tensors.end(), [&](const TensorView& tensor) {
      return tensor.name == variable.path;
    });
    if (found == tensors.end()) {
      return absl::FailedPreconditionError(
          absl::StrCat(name, ": has no variable '", variable.path, "'", kWayOut));
    }
    if (found->shape != variable.shape) {
      return absl::FailedPreconditionError(
          absl::StrCat(name, ": variable '", variable.path, "' has shape ", found->shape.ToString(),
                       ", in this job ", variable.shape.ToString(), kWayOut));
    }
    matched.push_back(&*found);
  }
  if (tensors.size() == matched.size()) return matched;
  return absl::FailedPreconditionError(absl::StrCat(
      name, ": has ", tensors.size(), " variables, this job ", matched.size(), kWayOut));
}

absl::StatusOr<std::optional<Checkpoint>> FindCheckpointOfJob(FileSystem& fs,
                                                              const PreparedJob& job,
                                                              const std::string& data_hash) {
  LOCKSTEP_ASSIGN_OR_RETURN(const CheckpointLayout layout, LayoutOfJob(job.graph));
  absl::StatusOr<LoadedCheckpoint> loaded =
      LoadCheckpoint(fs, CheckpointRoot(job.spec.output().directory),
                     {.numerics_version = kNumericsVersion,
                      .job_identity = CanonicalJobIdentity(job.spec),
                      .layout = &layout});
  if (absl::IsNotFound(loaded.status())) return std::optional<Checkpoint>();
  LOCKSTEP_RETURN_IF_ERROR(loaded.status());
  for (const RejectedCheckpoint& rejected : loaded->rejected) {
    Log(LogLevel::kWarning, "checkpoint_rejected",
        {{"path", rejected.path}, {"why", rejected.reason.message()}});
  }
  LOCKSTEP_RETURN_IF_ERROR(CheckGoesOn(loaded->checkpoint, job, data_hash));
  return std::optional<Checkpoint>(std::move(loaded->checkpoint));
}

}  // namespace lockstep
