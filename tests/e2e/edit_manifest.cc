// edit_manifest CHECKPOINT KEY VALUE: rewrites a number of a checkpoint's MANIFEST, with the right
// checksum: what another build, or a liar, would have written.
#include <cstdio>
#include <string>

#include "absl/strings/numbers.h"

#include "common/base/status_macros.h"
#include "common/checkpoint/checkpoint_files.h"
#include "common/checkpoint/checkpoint_manifest.h"
#include "common/env/file_system.h"

namespace lockstep {
namespace {

absl::Status Edit(const std::string& checkpoint, absl::string_view key, absl::string_view text) {
  const std::string path = JoinPath(checkpoint, kManifestName);
  LOCKSTEP_ASSIGN_OR_RETURN(const std::string old, ReadFile(PosixFileSystem(), path, 1 << 20));
  LOCKSTEP_ASSIGN_OR_RETURN(CheckpointManifest manifest, DecodeManifest(old));
  int value = 0;
  if (!absl::SimpleAtoi(text, &value)) return absl::InvalidArgumentError("VALUE is no number");
  if (key == "numerics_version") {
    manifest.info.numerics_version = value;
  } else if (key == "step") {
    manifest.info.step = value;
  } else {
    return absl::InvalidArgumentError("KEY is numerics_version or step");
  }
  return ReplaceFileSynced(PosixFileSystem(), path, EncodeManifest(manifest));
}

}  // namespace
}  // namespace lockstep

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const absl::Status status = lockstep::Edit(argv[1], argv[2], argv[3]);
  if (!status.ok()) std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  return status.ok() ? 0 : 1;
}
