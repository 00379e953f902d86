// ReadProcFile: the text of a file of /proc or /sys, whose size nobody knows before it is read.
// Thread: any. Errors: `reading 'path': errno text`.
#ifndef LOCKSTEP_COMMON_ENV_PROC_FILE_H_
#define LOCKSTEP_COMMON_ENV_PROC_FILE_H_

#include <string>

#include "absl/status/statusor.h"

namespace lockstep {

// At most 1 MiB.
absl::StatusOr<std::string> ReadProcFile(const std::string& path);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_ENV_PROC_FILE_H_
