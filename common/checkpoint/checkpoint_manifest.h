// CheckpointManifest: what MANIFEST says of a checkpoint; docs/FORMATS.md#manifest.
// Thread: pure. Errors: DATA_LOSS for damage, FAILED_PRECONDITION for a format of a later version.
// Invariant: one manifest has one text; decoding refuses every other one, so no flipped bit goes
// unseen.
#ifndef LOCKSTEP_COMMON_CHECKPOINT_CHECKPOINT_MANIFEST_H_
#define LOCKSTEP_COMMON_CHECKPOINT_CHECKPOINT_MANIFEST_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "common/base/fingerprint.h"

namespace lockstep {

inline constexpr int kCheckpointFormatVersion = 1;
inline constexpr absl::string_view kManifestName = "MANIFEST";

// The two tensor files, in the order of CheckpointManifest::files.
enum class CheckpointFile : int32_t { kValues = 0, kOptimizer = 1 };
inline constexpr int kCheckpointFiles = 2;
absl::string_view FileNameOf(CheckpointFile file);  // "values.safetensors", "optimizer.safetensors"

// The bytes one owner has written and synced. Trivially copyable: it travels to rank 0 as it is.
struct RangeDigest {
  CheckpointFile file = CheckpointFile::kValues;
  int32_t owner = 0;  // rank
  int64_t offset_bytes = 0;
  int64_t size_bytes = 0;
  Fingerprint128 fingerprint;
};
using RangeDigests = std::vector<RangeDigest>;

// What the training program must know besides tensors: sums of losses and metrics, early stopping,
// whose turn it is.
struct ProgramState {
  std::map<std::string, double> reals;  // exact
  std::map<std::string, int64_t> integers;
  std::map<std::string, std::string> texts;  // UTF-8
  friend bool operator==(const ProgramState&, const ProgramState&) = default;
};

// What the trainer says about a checkpoint.
struct CheckpointInfo {
  int numerics_version = 0;
  int64_t step = 0;          // optimizer updates done
  int64_t epoch = 0;         // epochs finished
  std::string job_identity;  // CanonicalJobIdentity(spec)
  int workers = 0;           // for information
  ProgramState program;
};

struct CheckpointManifest {
  CheckpointInfo info;
  std::string model_sha256;
  struct FileEntry {
    int64_t size_bytes = 0;
    RangeDigests ranges;  // by offset; they tile the file
  };
  FileEntry files[kCheckpointFiles];
};

// Texts are UTF-8; bytes that are not are replaced.
std::string EncodeManifest(const CheckpointManifest& manifest);
absl::StatusOr<CheckpointManifest> DecodeManifest(absl::string_view text);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_CHECKPOINT_CHECKPOINT_MANIFEST_H_
