#include "common/data/data_file.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "common/base/status_macros.h"

namespace lockstep {
namespace {

// The system says what is wrong; what to do about it is ours to say.
absl::Status WithAdvice(const absl::Status& status) {
  if (!absl::IsNotFound(status) && !absl::IsPermissionDenied(status)) return status;
  return absl::Status(status.code(),
                      absl::StrCat(status.message(), "; give a file that this host can read"));
}

}  // namespace

absl::StatusOr<DataFile> OpenDataFile(FileSystem& fs, const std::string& path) {
  const absl::StatusOr<FileInfo> state = fs.Stat(path);
  if (!state.ok()) return WithAdvice(state.status());
  absl::StatusOr<std::unique_ptr<MappedFile>> mapping = fs.MapFile(path);
  if (!mapping.ok()) return WithAdvice(mapping.status());
  const int64_t bytes = static_cast<int64_t>((*mapping)->bytes().size());
  if (bytes != state->size_bytes) {
    return absl::FailedPreconditionError(
        absl::StrCat("'", path, "' went from ", state->size_bytes, " to ", bytes,
                     " bytes while it was opened; start again when it is complete"));
  }
  if (bytes == 0) {
    return absl::DataLossError(absl::StrCat("'", path, "' is empty; copy it again"));
  }
  return DataFile{.path = path, .state = *state, .mapping = *std::move(mapping)};
}

}  // namespace lockstep
