// Reading checkpoints: nothing is used before sizes, checksums and values are proven.
// Thread: any. Errors: DATA_LOSS for damage, FAILED_PRECONDITION for a checkpoint that is sound but
// not ours, the file system's for the rest. Invariant: what is returned was verified bit for bit;
// the files of a checkpoint never change.
#ifndef LOCKSTEP_COMMON_CHECKPOINT_CHECKPOINT_READER_H_
#define LOCKSTEP_COMMON_CHECKPOINT_CHECKPOINT_READER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

#include "common/checkpoint/checkpoint_layout.h"
#include "common/checkpoint/checkpoint_manifest.h"
#include "common/checkpoint/tensor_view.h"
#include "common/env/file_system.h"

namespace lockstep {

// The tensors of one file, mapped.
struct TensorFile {
  std::unique_ptr<MappedFile> mapping;
  std::vector<TensorView> tensors;  // point into `mapping`
};

struct Checkpoint {
  std::string path;
  CheckpointManifest manifest;
  TensorFile values;     // in the order of the hash
  TensorFile optimizer;  // "<slot>/<variable path>"
};

// Without MANIFEST it is not a checkpoint: NOT_FOUND.
absl::StatusOr<Checkpoint> ReadCheckpoint(FileSystem& fs, const std::string& path);

// The files in `directory` against `manifest`; for ReadCheckpoint and, before the manifest is
// written, PublishCheckpoint. Leaves comparing manifest.model_sha256 to the caller.
absl::StatusOr<Checkpoint> ReadCheckpointFiles(FileSystem& fs, const std::string& directory,
                                               CheckpointManifest manifest);

struct CheckpointExpectations {
  int numerics_version = 0;
  std::string job_identity;                  // CanonicalJobIdentity(spec)
  const CheckpointLayout* layout = nullptr;  // of the job
};

// FAILED_PRECONDITION naming what differs.
absl::Status CheckExpectations(const Checkpoint& checkpoint,
                               const CheckpointExpectations& expected);

struct RejectedCheckpoint {
  std::string path;
  absl::Status reason;
};

struct LoadedCheckpoint {
  Checkpoint checkpoint;
  std::vector<RejectedCheckpoint> rejected;  // newer ones, newest first: log each
};

// The newest sound checkpoint below `root`. NOT_FOUND: there is none at all. DATA_LOSS, with every
// reason: there are, but not one is sound. FAILED_PRECONDITION: the newest sound one, or one of a
// later format, is not for this job.
absl::StatusOr<LoadedCheckpoint> LoadCheckpoint(FileSystem& fs, const std::string& root,
                                                const CheckpointExpectations& expected);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_CHECKPOINT_CHECKPOINT_READER_H_
