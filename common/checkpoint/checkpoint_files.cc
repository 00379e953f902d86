#include "common/checkpoint/checkpoint_files.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/checkpoint_reader.h"
#include "common/checkpoint/model_hash.h"

namespace lockstep {
namespace {

constexpr absl::string_view kStepPrefix = "step-";
constexpr absl::string_view kUnfinishedMark = ".tmp-";
constexpr CheckpointFile kFiles[] = {CheckpointFile::kValues, CheckpointFile::kOptimizer};

std::string PathOfStep(const std::string& root, int64_t step) {
  return JoinPath(root, absl::StrCat(kStepPrefix, step));
}

std::string PathOfFile(const std::string& directory, CheckpointFile file) {
  return JoinPath(directory, FileNameOf(file));
}

absl::StatusOr<std::vector<DirectoryEntry>> ListIfPresent(FileSystem& fs,
                                                          const std::string& directory) {
  absl::StatusOr<std::vector<DirectoryEntry>> entries = fs.List(directory);
  if (absl::IsNotFound(entries.status())) return std::vector<DirectoryEntry>();
  return entries;
}

absl::Status CreateFiles(FileSystem& fs, const std::string& directory,
                         const CheckpointLayout& layout) {
  for (const CheckpointFile name : kFiles) {
    const TensorFileLayout& plan = layout.file(name);
    LOCKSTEP_ASSIGN_OR_RETURN(const std::unique_ptr<File> file,
                              fs.Open(PathOfFile(directory, name), OpenMode::kCreateNew));
    LOCKSTEP_RETURN_IF_ERROR(file->Truncate(plan.size_bytes()));
    LOCKSTEP_RETURN_IF_ERROR(file->Write(0, plan.header()));
    LOCKSTEP_RETURN_IF_ERROR(file->Sync());
    LOCKSTEP_RETURN_IF_ERROR(file->Close());
  }
  return absl::OkStatus();
}

// The header's range and those of all owners, by offset, proven to tile the file.
absl::StatusOr<CheckpointManifest::FileEntry> TileFile(CheckpointFile name,
                                                       const TensorFileLayout& layout,
                                                       const RangeDigests& ranges) {
  CheckpointManifest::FileEntry entry = {.size_bytes = layout.size_bytes(), .ranges = {}};
  entry.ranges.push_back({.file = name,
                          .owner = 0,
                          .offset_bytes = 0,
                          .size_bytes = static_cast<int64_t>(layout.header().size()),
                          .fingerprint = FingerprintOf128(layout.header())});
  std::copy_if(ranges.begin(), ranges.end(), std::back_inserter(entry.ranges),
               [name](const RangeDigest& range) { return range.file == name; });
  std::sort(
      entry.ranges.begin(), entry.ranges.end(),
      [](const RangeDigest& a, const RangeDigest& b) { return a.offset_bytes < b.offset_bytes; });
  int64_t covered = 0;
  for (const RangeDigest& range : entry.ranges) {
    if (range.offset_bytes != covered) {
      return absl::FailedPreconditionError(
          absl::StrCat("publishing a checkpoint: in ", FileNameOf(name), " rank ", range.owner,
                       " has written from byte ", range.offset_bytes,
                       ", but the ranges before end at ", covered));
    }
    covered += range.size_bytes;
  }
  if (covered != entry.size_bytes) {
    return absl::FailedPreconditionError(
        absl::StrCat("publishing a checkpoint: of ", FileNameOf(name), " ", covered,
                     " bytes are written, it has ", entry.size_bytes));
  }
  return entry;
}

absl::Status WriteManifest(FileSystem& fs, const std::string& directory,
                           const CheckpointManifest& manifest) {
  LOCKSTEP_ASSIGN_OR_RETURN(const std::unique_ptr<File> file,
                            fs.Open(JoinPath(directory, kManifestName), OpenMode::kCreateNew));
  LOCKSTEP_RETURN_IF_ERROR(file->Write(0, EncodeManifest(manifest)));
  LOCKSTEP_RETURN_IF_ERROR(file->Sync());
  LOCKSTEP_RETURN_IF_ERROR(file->Close());
  return fs.SyncDirectory(directory);
}

absl::Status AlreadyPublished(const std::string& path) {
  return absl::AlreadyExistsError(
      absl::StrCat("publishing a checkpoint: '", path,
                   "' exists; another attempt of this job is running or has been"));
}

// Makes room for a checkpoint at `path`. What stands there and cannot be loaded is moved to
// `retired`.
absl::Status ClearPath(FileSystem& fs, const std::string& path, const std::string& retired) {
  LOCKSTEP_ASSIGN_OR_RETURN(const bool exists, fs.Exists(path));
  if (!exists) return absl::OkStatus();
  const absl::Status sound = ReadCheckpoint(fs, path).status();
  if (absl::IsDataLoss(sound) || absl::IsNotFound(sound)) return fs.Rename(path, retired);
  return sound.ok() || absl::IsFailedPrecondition(sound) ? AlreadyPublished(path) : sound;
}

}  // namespace

absl::StatusOr<std::vector<CheckpointName>> FindCheckpoints(FileSystem& fs,
                                                            const std::string& root) {
  LOCKSTEP_ASSIGN_OR_RETURN(const std::vector<DirectoryEntry> entries, ListIfPresent(fs, root));
  std::vector<CheckpointName> found;
  for (const DirectoryEntry& entry : entries) {
    absl::string_view digits = entry.name;
    int64_t step = 0;
    if (entry.type != FileType::kDirectory || !absl::ConsumePrefix(&digits, kStepPrefix) ||
        !absl::SimpleAtoi(digits, &step) || absl::StrCat(step) != digits || step < 0) {
      continue;
    }
    found.push_back({.step = step, .path = JoinPath(root, entry.name)});
  }
  std::sort(found.begin(), found.end(),
            [](const CheckpointName& a, const CheckpointName& b) { return a.step > b.step; });
  return found;
}

absl::StatusOr<std::string> PrepareCheckpoint(FileSystem& fs, const std::string& root, int64_t step,
                                              const CheckpointLayout& layout) {
  LOCKSTEP_ASSIGN_OR_RETURN(const bool exists, fs.Exists(root));
  if (!exists) {
    LOCKSTEP_RETURN_IF_ERROR(fs.MakeDirectories(root));
    LOCKSTEP_RETURN_IF_ERROR(fs.SyncDirectory(ParentPath(root)));
  }
  LOCKSTEP_ASSIGN_OR_RETURN(const int64_t free_bytes, fs.FreeBytes(root));
  if (free_bytes < layout.size_bytes()) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "checkpoint in '", root, "': it takes ", layout.size_bytes(), " bytes, the disk has ",
        free_bytes, " free; make room or choose another output directory"));
  }
  LOCKSTEP_ASSIGN_OR_RETURN(std::string directory, fs.MakeUniqueDirectory(absl::StrCat(
                                                       PathOfStep(root, step), kUnfinishedMark)));
  const absl::Status created = CreateFiles(fs, directory, layout);
  if (!created.ok()) {
    DiscardCheckpoint(fs, directory).IgnoreError();  // the first error is the one that explains
    return created;
  }
  return directory;
}

absl::StatusOr<RangeDigests> WriteOwnedRanges(FileSystem& fs, const std::string& directory,
                                              const CheckpointLayout& layout,
                                              const OwnedSnapshot& snapshot) {
  RangeDigests digests;
  for (const CheckpointFile name : kFiles) {
    std::unique_ptr<File> file;  // opened for the first piece: an owner may hold none
    for (const TensorPiece& piece : snapshot.pieces) {
      if (piece.file != name || piece.elements.empty()) continue;
      if (file == nullptr) {
        LOCKSTEP_ASSIGN_OR_RETURN(file, fs.Open(PathOfFile(directory, name), OpenMode::kUpdate));
      }
      LOCKSTEP_ASSIGN_OR_RETURN(
          const int64_t offset,
          layout.file(name).OffsetOf(piece.tensor, piece.first_element,
                                     static_cast<int64_t>(piece.elements.size())));
      const absl::string_view bytes = BytesOf(piece.elements);
      LOCKSTEP_RETURN_IF_ERROR(file->Write(offset, bytes));
      digests.push_back({.file = name,
                         .owner = snapshot.owner,
                         .offset_bytes = offset,
                         .size_bytes = static_cast<int64_t>(bytes.size()),
                         .fingerprint = FingerprintOf128(bytes)});
    }
    if (file == nullptr) continue;
    LOCKSTEP_RETURN_IF_ERROR(file->Sync());
    LOCKSTEP_RETURN_IF_ERROR(file->Close());
  }
  return digests;
}

absl::StatusOr<PublishedCheckpoint> PublishCheckpoint(FileSystem& fs,
                                                      const PublishRequest& request) {
  CheckpointManifest manifest = {.info = request.info, .model_sha256 = {}, .files = {}};
  for (const CheckpointFile name : kFiles) {
    LOCKSTEP_ASSIGN_OR_RETURN(manifest.files[static_cast<size_t>(name)],
                              TileFile(name, request.layout->file(name), request.ranges));
  }
  LOCKSTEP_ASSIGN_OR_RETURN(Checkpoint checkpoint,
                            ReadCheckpointFiles(fs, request.directory, std::move(manifest)));
  checkpoint.manifest.model_sha256 = ModelSha256(checkpoint.values.tensors);
  LOCKSTEP_RETURN_IF_ERROR(WriteManifest(fs, request.directory, checkpoint.manifest));

  const std::string path = PathOfStep(request.root, request.info.step);
  const std::string retired = absl::StrCat(request.directory, "-damaged");
  LOCKSTEP_RETURN_IF_ERROR(ClearPath(fs, path, retired));
  const absl::Status renamed = fs.Rename(request.directory, path);
  if (!renamed.ok()) return fs.Exists(path).value_or(false) ? AlreadyPublished(path) : renamed;
  LOCKSTEP_RETURN_IF_ERROR(fs.SyncDirectory(request.root));
  fs.RemoveTree(retired).IgnoreError();  // RemoveUnfinishedCheckpoints tries again
  return PublishedCheckpoint{.path = path, .model_sha256 = checkpoint.manifest.model_sha256};
}

absl::Status DiscardCheckpoint(FileSystem& fs, const std::string& directory) {
  LOCKSTEP_CHECK(absl::StrContains(directory, kUnfinishedMark));
  return fs.RemoveTree(directory);
}

absl::Status PruneCheckpoints(FileSystem& fs, const std::string& root, int keep,
                              int64_t verified_step) {
  LOCKSTEP_CHECK(keep >= 1);
  LOCKSTEP_ASSIGN_OR_RETURN(const std::vector<CheckpointName> found, FindCheckpoints(fs, root));
  // Renamed first, and durably: half a checkpoint never bears the name of a whole one.
  std::vector<std::string> retired;
  for (size_t i = static_cast<size_t>(keep); i < found.size(); ++i) {
    if (found[i].step == verified_step) continue;
    retired.push_back(absl::StrCat(found[i].path, kUnfinishedMark, "pruned"));
    LOCKSTEP_RETURN_IF_ERROR(fs.Rename(found[i].path, retired.back()));
  }
  if (retired.empty()) return absl::OkStatus();
  LOCKSTEP_RETURN_IF_ERROR(fs.SyncDirectory(root));
  for (const std::string& path : retired) LOCKSTEP_RETURN_IF_ERROR(fs.RemoveTree(path));
  return absl::OkStatus();
}

absl::Status RemoveUnfinishedCheckpoints(FileSystem& fs, const std::string& root) {
  LOCKSTEP_ASSIGN_OR_RETURN(const std::vector<DirectoryEntry> entries, ListIfPresent(fs, root));
  for (const DirectoryEntry& entry : entries) {
    if (entry.type != FileType::kDirectory || !absl::StartsWith(entry.name, kStepPrefix) ||
        !absl::StrContains(entry.name, kUnfinishedMark)) {
      continue;
    }
    LOCKSTEP_RETURN_IF_ERROR(fs.RemoveTree(JoinPath(root, entry.name)));
  }
  return absl::OkStatus();
}

}  // namespace lockstep
