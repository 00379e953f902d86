// DataCache: decompressed copies of data files, made once per host and shared by all its processes;
// bounded, the longest unused copies go first; docs/FORMATS.md#the-cache. Thread: any. Errors:
// those of making a copy; a cache that cannot be written costs a copy in this process's memory
// instead, and a warning. Invariant: a copy under its final name is complete.
#ifndef LOCKSTEP_COMMON_DATA_DATA_CACHE_H_
#define LOCKSTEP_COMMON_DATA_DATA_CACHE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "common/data/data_file.h"
#include "common/env/file_system.h"

namespace lockstep {

class DataCache {
 public:
  // `directory` is made when needed; empty: there is none. `bytes_max`: of all copies together.
  DataCache(FileSystem& fs, std::string directory, int64_t bytes_max);

  // $LOCKSTEP_CACHE, else $XDG_CACHE_HOME/lockstep, else $HOME/.cache/lockstep;
  // $LOCKSTEP_CACHE_BYTES, else 16 GiB.
  static DataCache FromEnvironment(FileSystem& fs);

  // The copy of `source` under `variant` ("gz", "npz/3"). `make` writes it, `bytes` long, in any
  // number of pieces from the start on; it is called only where no process of this host has done so
  // for this state (size, time of change, inode) of `source`, and a second time if the cache fails
  // under it.
  absl::StatusOr<std::unique_ptr<MappedFile>> Get(const DataFile& source, absl::string_view variant,
                                                  int64_t bytes,
                                                  absl::FunctionRef<absl::Status(File&)> make);

 private:
  class Maker;

  absl::StatusOr<std::unique_ptr<MappedFile>> GetShared(const std::string& name, Maker& maker);
  absl::StatusOr<std::unique_ptr<MappedFile>> MakeShared(const std::string& path, Maker& maker);
  std::unique_ptr<MappedFile> FindShared(const std::string& path, int64_t bytes);
  // Removes the longest unused copies until the bound holds. Files being written count, at their
  // full size, and stay; those of processes that died go.
  absl::Status MakeRoom();
  bool RemoveIfAbandoned(absl::string_view temporary_name);
  std::string LockPath(absl::string_view name) const;

  FileSystem& fs_;
  const std::string directory_;
  const int64_t bytes_max_;
};

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_DATA_DATA_CACHE_H_
