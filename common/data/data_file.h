// DataFile: the bytes of a file and the state of the file they are of, by which DataCache knows its
// copies. Thread: immutable. Errors: NOT_FOUND, PERMISSION_DENIED, FAILED_PRECONDITION (not a
// regular file), DATA_LOSS (empty), naming the file.
#ifndef LOCKSTEP_COMMON_DATA_DATA_FILE_H_
#define LOCKSTEP_COMMON_DATA_DATA_FILE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "common/env/file_system.h"

namespace lockstep {

struct DataFile {
  std::string path;
  FileInfo state;  // taken before the bytes: a file replaced in between has another state by then
  std::shared_ptr<const MappedFile> mapping;

  absl::string_view bytes() const { return mapping->bytes(); }
};

absl::StatusOr<DataFile> OpenDataFile(FileSystem& fs, const std::string& path);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_DATA_DATA_FILE_H_
