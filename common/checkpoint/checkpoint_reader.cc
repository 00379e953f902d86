#include "common/checkpoint/checkpoint_reader.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "common/base/status_macros.h"
#include "common/checkpoint/checkpoint_files.h"
#include "common/checkpoint/model_hash.h"
#include "common/checkpoint/safetensors.h"
#include "common/spec/job_identity.h"

namespace lockstep {
namespace {

constexpr int64_t kManifestBytesMax = int64_t{64} << 20;

absl::Status CheckRanges(absl::string_view bytes, const CheckpointManifest::FileEntry& entry,
                         const std::string& path) {
  if (static_cast<int64_t>(bytes.size()) != entry.size_bytes) {
    return absl::DataLossError(
        absl::StrCat("'", path, "' has ", bytes.size(), " bytes instead of ", entry.size_bytes));
  }
  for (const RangeDigest& range : entry.ranges) {
    const absl::string_view part = bytes.substr(static_cast<size_t>(range.offset_bytes),
                                                static_cast<size_t>(range.size_bytes));
    if (FingerprintOf128(part) == range.fingerprint) continue;
    return absl::DataLossError(absl::StrCat("'", path, "': the ", range.size_bytes, " bytes from ",
                                            range.offset_bytes, ", written by rank ", range.owner,
                                            ", do not match their checksum"));
  }
  return absl::OkStatus();
}

absl::StatusOr<TensorFile> ReadTensorFile(FileSystem& fs, const std::string& path,
                                          const CheckpointManifest::FileEntry& entry) {
  TensorFile result;
  LOCKSTEP_ASSIGN_OR_RETURN(result.mapping, fs.MapFile(path));
  LOCKSTEP_RETURN_IF_ERROR(CheckRanges(result.mapping->bytes(), entry, path));
  LOCKSTEP_ASSIGN_OR_RETURN(const SafetensorsFile file,
                            SafetensorsFile::Parse(result.mapping->bytes(), path));
  LOCKSTEP_ASSIGN_OR_RETURN(result.tensors, file.FloatViews());
  return result;
}

// Variables only: an optimizer's second moment may overflow in a run that goes on.
absl::Status CheckFinite(const TensorFile& values) {
  for (const TensorView& tensor : values.tensors) {
    const auto bad = std::find_if_not(tensor.values.begin(), tensor.values.end(),
                                      [](float value) { return std::isfinite(value); });
    if (bad == tensor.values.end()) continue;
    return absl::DataLossError(absl::StrCat("variable '", tensor.name, "' holds ", *bad,
                                            " at element ", bad - tensor.values.begin()));
  }
  return absl::OkStatus();
}

absl::StatusOr<Checkpoint> ReadVerified(FileSystem& fs, const std::string& directory,
                                        CheckpointManifest manifest) {
  Checkpoint checkpoint = {
      .path = directory, .manifest = std::move(manifest), .values = {}, .optimizer = {}};
  for (const auto& [name, target] :
       {std::pair(CheckpointFile::kValues, &checkpoint.values),
        std::pair(CheckpointFile::kOptimizer, &checkpoint.optimizer)}) {
    LOCKSTEP_ASSIGN_OR_RETURN(*target,
                              ReadTensorFile(fs, JoinPath(directory, FileNameOf(name)),
                                             checkpoint.manifest.files[static_cast<size_t>(name)]));
  }
  LOCKSTEP_RETURN_IF_ERROR(CheckFinite(checkpoint.values));
  return checkpoint;
}

// FAILED_PRECONDITION is for what is sound but not ours; of files it means that they are not files.
absl::Status AsDamage(const absl::Status& status) {
  if (!absl::IsFailedPrecondition(status)) return status;
  return absl::DataLossError(status.message());
}

absl::Status SameTensors(const TensorFile& found, const TensorFileLayout& expected,
                         absl::string_view what) {
  const std::vector<TensorSpec>& specs = expected.tensors();
  const size_t count = std::min(found.tensors.size(), specs.size());
  for (size_t i = 0; i < count; ++i) {
    const TensorView& tensor = found.tensors[i];
    if (tensor.name == specs[i].name && tensor.shape == specs[i].shape) continue;
    return absl::FailedPreconditionError(
        absl::StrCat("it holds ", what, " '", tensor.name, "' ", tensor.shape.ToString(),
                     " where this job has '", specs[i].name, "' ", specs[i].shape.ToString()));
  }
  if (found.tensors.size() == specs.size()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "it holds ", found.tensors.size(), " tensors of ", what, ", this job has ", specs.size()));
}

absl::Status Compare(const Checkpoint& checkpoint, const CheckpointExpectations& expected) {
  const CheckpointInfo& info = checkpoint.manifest.info;
  if (info.numerics_version != expected.numerics_version) {
    return absl::FailedPreconditionError(absl::StrCat(
        "it was made with numerics_version ", info.numerics_version, ", this build has ",
        expected.numerics_version,
        " and would give other bits; go on with the build that made it, or start anew"));
  }
  if (info.job_identity != expected.job_identity) {
    return absl::FailedPreconditionError(
        absl::StrCat("it belongs to another job: '",
                     absl::StrJoin(DifferingKeys(info.job_identity, expected.job_identity), "', '"),
                     "' differ; only resources, output, steps and epochs may change on resume"));
  }
  LOCKSTEP_RETURN_IF_ERROR(SameTensors(
      checkpoint.values, expected.layout->file(CheckpointFile::kValues), "the variable"));
  return SameTensors(checkpoint.optimizer, expected.layout->file(CheckpointFile::kOptimizer),
                     "the state");
}

}  // namespace

absl::StatusOr<Checkpoint> ReadCheckpointFiles(FileSystem& fs, const std::string& directory,
                                               CheckpointManifest manifest) {
  absl::StatusOr<Checkpoint> checkpoint = ReadVerified(fs, directory, std::move(manifest));
  if (!checkpoint.ok())
    return Annotate(AsDamage(checkpoint.status()), absl::StrCat("checkpoint '", directory, "'"));
  return checkpoint;
}

absl::StatusOr<Checkpoint> ReadCheckpoint(FileSystem& fs, const std::string& path) {
  const std::string where = absl::StrCat("checkpoint '", path, "'");
  const absl::StatusOr<std::string> text =
      ReadFile(fs, JoinPath(path, kManifestName), kManifestBytesMax);
  if (!text.ok()) return Annotate(AsDamage(text.status()), where);
  absl::StatusOr<CheckpointManifest> manifest = DecodeManifest(*text);
  if (!manifest.ok()) return Annotate(manifest.status(), where);
  LOCKSTEP_ASSIGN_OR_RETURN(Checkpoint checkpoint,
                            ReadCheckpointFiles(fs, path, *std::move(manifest)));
  const std::string model_sha256 = ModelSha256(checkpoint.values.tensors);
  if (model_sha256 != checkpoint.manifest.model_sha256) {
    return absl::DataLossError(absl::StrCat(where, ": its model_sha256 is ", model_sha256,
                                            ", MANIFEST says ", checkpoint.manifest.model_sha256));
  }
  return checkpoint;
}

absl::Status CheckExpectations(const Checkpoint& checkpoint,
                               const CheckpointExpectations& expected) {
  return Annotate(Compare(checkpoint, expected),
                  absl::StrCat("checkpoint '", checkpoint.path, "'"));
}

absl::StatusOr<LoadedCheckpoint> LoadCheckpoint(FileSystem& fs, const std::string& root,
                                                const CheckpointExpectations& expected) {
  LOCKSTEP_ASSIGN_OR_RETURN(const std::vector<CheckpointName> found, FindCheckpoints(fs, root));
  if (found.empty())
    return absl::NotFoundError(absl::StrCat("'", root, "': it holds no checkpoint"));
  std::vector<RejectedCheckpoint> rejected;
  for (const CheckpointName& name : found) {
    absl::StatusOr<Checkpoint> checkpoint = ReadCheckpoint(fs, name.path);
    if (checkpoint.ok() && checkpoint->manifest.info.step != name.step) {
      checkpoint = absl::DataLossError(absl::StrCat(
          "checkpoint '", name.path, "': MANIFEST is of step ", checkpoint->manifest.info.step));
    }
    if (checkpoint.ok()) {
      LOCKSTEP_RETURN_IF_ERROR(CheckExpectations(*checkpoint, expected));
      return LoadedCheckpoint{.checkpoint = *std::move(checkpoint),
                              .rejected = std::move(rejected)};
    }
    if (absl::IsFailedPrecondition(checkpoint.status())) return checkpoint.status();
    rejected.push_back({.path = name.path, .reason = checkpoint.status()});
  }
  const auto reason = [](std::string* out, const RejectedCheckpoint& checkpoint) {
    absl::StrAppend(out, checkpoint.reason.message());
  };
  return absl::DataLossError(absl::StrCat("'", root, "': no checkpoint is sound (",
                                          absl::StrJoin(rejected, ", ", reason),
                                          "); move the directory away to start anew"));
}

}  // namespace lockstep
