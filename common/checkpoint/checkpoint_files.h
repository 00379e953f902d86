// How a checkpoint comes into being and goes: complete or absent, whatever dies in between;
// docs/FORMATS.md#checkpoints.
//   rank 0       PrepareCheckpoint  -> a temporary directory; its path goes to all ranks
//   every rank   WriteOwnedRanges   -> digests of what it has written and synced; they go to rank 0
//   rank 0       PublishCheckpoint  (or, if any rank failed, DiscardCheckpoint), then
//   PruneCheckpoints
// Thread: any; one checkpoint at a time per output directory. Errors: the file system's; after one,
// discard. Invariant: a directory `step-<n>` is a complete checkpoint; before it is renamed it has
// been read back and verified.
#ifndef LOCKSTEP_COMMON_CHECKPOINT_CHECKPOINT_FILES_H_
#define LOCKSTEP_COMMON_CHECKPOINT_CHECKPOINT_FILES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

#include "common/checkpoint/checkpoint_layout.h"
#include "common/checkpoint/checkpoint_manifest.h"
#include "common/env/file_system.h"

namespace lockstep {

// Some consecutive elements of one tensor, in memory that does not change until the write is done.
struct TensorPiece {
  CheckpointFile file = CheckpointFile::kValues;
  std::string tensor;
  int64_t first_element = 0;
  absl::Span<const float> elements;
};

struct OwnedSnapshot {
  int32_t owner = 0;  // rank
  std::vector<TensorPiece> pieces;
};

struct CheckpointName {
  int64_t step = 0;
  std::string path;
};

// Newest first; unfinished ones are not listed. No directory `root`: none.
absl::StatusOr<std::vector<CheckpointName>> FindCheckpoints(FileSystem& fs,
                                                            const std::string& root);

// Makes `root` where needed and in it `step-<n>.tmp-<random>` with both files at full size and
// their headers. RESOURCE_EXHAUSTED, and nothing left behind, if the disk has not the room.
absl::StatusOr<std::string> PrepareCheckpoint(FileSystem& fs, const std::string& root, int64_t step,
                                              const CheckpointLayout& layout);

absl::StatusOr<RangeDigests> WriteOwnedRanges(FileSystem& fs, const std::string& directory,
                                              const CheckpointLayout& layout,
                                              const OwnedSnapshot& snapshot);

struct PublishRequest {
  std::string root;
  std::string directory;  // of PrepareCheckpoint
  const CheckpointLayout* layout = nullptr;
  CheckpointInfo info;
  RangeDigests ranges;  // of all owners, in any order
};

struct PublishedCheckpoint {
  std::string path;
  std::string model_sha256;
};

// FAILED_PRECONDITION: the ranges leave a hole or overlap. DATA_LOSS: the files do not hold what
// was written, or a variable is not finite. ALREADY_EXISTS: somebody else has published this step;
// a damaged one is replaced.
absl::StatusOr<PublishedCheckpoint> PublishCheckpoint(FileSystem& fs,
                                                      const PublishRequest& request);

// Removes a temporary directory; absent is fine.
absl::Status DiscardCheckpoint(FileSystem& fs, const std::string& directory);

// Removes all but the newest `keep` (at least 1) and `verified_step`, the last one that was read
// back or published.
absl::Status PruneCheckpoints(FileSystem& fs, const std::string& root, int keep,
                              int64_t verified_step);

// Removes what dead attempts left unfinished. Call it before the first PrepareCheckpoint of an
// attempt: an older attempt that is still writing there fails, as it should.
absl::Status RemoveUnfinishedCheckpoints(FileSystem& fs, const std::string& root);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_CHECKPOINT_CHECKPOINT_FILES_H_
