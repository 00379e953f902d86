// FileSystem: the only way to files outside common/env, so that tests can fail or "crash" any call
// of a protocol. Thread: any, except that one File belongs to one thread at a time. Errors:
// `operation 'path': errno text`; NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED, RESOURCE_EXHAUSTED
// (disk or quota full), FAILED_PRECONDITION (wrong type, directory not empty, read-only),
// UNAVAILABLE (lock held), UNKNOWN for the rest. Invariant: nothing is durable before Sync() and
// SyncDirectory() returned OK. After a failed Sync() the file is lost: the kernel may have dropped
// the pages, so delete it and never retry on the same handle.
#ifndef LOCKSTEP_COMMON_ENV_FILE_SYSTEM_H_
#define LOCKSTEP_COMMON_ENV_FILE_SYSTEM_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace lockstep {

enum class FileType { kRegular, kDirectory, kSymlink, kOther };

struct FileInfo {
  FileType type = FileType::kOther;
  int64_t size_bytes = 0;
  absl::Time modified;
  uint64_t inode = 0;
  uint64_t device = 0;
};

struct DirectoryEntry {
  std::string name;                  // without the directory
  FileType type = FileType::kOther;  // of the entry itself: a link is kSymlink
};

enum class OpenMode {
  kRead,
  kUpdate,     // read and write a file that exists, contents kept
  kCreateNew,  // read and write; ALREADY_EXISTS if it does
  kTruncate,   // read and write; created if absent, emptied if not
};

// An open file; closing it in the destructor loses the error, so writers call Close().
class File {
 public:
  virtual ~File() = default;
  // Up to `buffer.size()` bytes from `offset`; fewer only at the end of the file.
  virtual absl::StatusOr<size_t> Read(int64_t offset, absl::Span<char> buffer) = 0;
  // All of `bytes` at `offset`, growing the file where needed.
  virtual absl::Status Write(int64_t offset, absl::string_view bytes) = 0;
  virtual absl::Status Truncate(int64_t size_bytes) = 0;
  virtual absl::Status Sync() = 0;
  virtual absl::Status Close() = 0;  // at most once; nothing may follow
};

// The bytes of a file as they were when it was opened. A file that another process shortens
// meanwhile raises SIGBUS on access: map only files that are never changed in place.
class MappedFile {
 public:
  virtual ~MappedFile() = default;
  virtual absl::string_view bytes() const = 0;
};

// Held until destroyed, or until the process dies.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

enum class LockWait { kTry, kBlock };

class FileSystem {
 public:
  virtual ~FileSystem() = default;

  virtual absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) = 0;
  virtual absl::StatusOr<std::unique_ptr<MappedFile>> MapFile(const std::string& path) = 0;
  // Creates `path` (an empty file, never removed) if absent. kTry: UNAVAILABLE if another handle
  // holds it.
  virtual absl::StatusOr<std::unique_ptr<FileLock>> LockFile(const std::string& path,
                                                             LockWait wait) = 0;

  virtual absl::StatusOr<FileInfo> Stat(const std::string& path) = 0;  // follows links
  // Sorted by name, without "." and "..".
  virtual absl::StatusOr<std::vector<DirectoryEntry>> List(const std::string& directory) = 0;
  virtual absl::StatusOr<int64_t> FreeBytes(
      const std::string& path) = 0;  // for this user, on path's disk

  // Atomic: readers see the old or the new one. Files replace files; a directory replaces only an
  // empty one.
  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;
  virtual absl::Status MakeDirectory(
      const std::string& path) = 0;  // mode 0700; the parent must exist
  // Makes the directory `prefix` + six random letters, mode 0700: a name nobody has used before.
  virtual absl::StatusOr<std::string> MakeUniqueDirectory(const std::string& prefix) = 0;
  virtual absl::Status RemoveFile(const std::string& path) = 0;  // a link, not what it points to
  virtual absl::Status RemoveDirectory(const std::string& path) = 0;  // must be empty
  // Makes now its time of modification; the bytes stay.
  virtual absl::Status Touch(const std::string& path) = 0;
  // Makes creations, renames and removals inside it durable.
  virtual absl::Status SyncDirectory(const std::string& path) = 0;

  // With missing parents; present is fine.
  absl::Status MakeDirectories(const std::string& path);
  // Contents first, links not followed; absent is fine.
  absl::Status RemoveTree(const std::string& path);
  // False also where the parents are missing; an error if it cannot be known.
  absl::StatusOr<bool> Exists(const std::string& path);
};

// The operating system's; lives as long as the process.
FileSystem& PosixFileSystem();

// The whole file; RESOURCE_EXHAUSTED above `size_bytes_max`.
absl::StatusOr<std::string> ReadFile(FileSystem& fs, const std::string& path,
                                     int64_t size_bytes_max);

// Creates or replaces `path` so that, crash or not, it holds the old bytes or the new ones:
// temporary file, sync, rename, sync of the directory. On error the temporary file is gone and
// `path` is as it was (or, if only the last sync failed, new).
absl::Status ReplaceFileSynced(FileSystem& fs, const std::string& path, absl::string_view bytes);
// The same for contents that `write` puts into the new file piece by piece.
absl::Status ReplaceFileSynced(FileSystem& fs, const std::string& path,
                               absl::FunctionRef<absl::Status(File&)> write);

// "a" + "b" -> "a/b"; an empty directory is the current one.
std::string JoinPath(absl::string_view directory, absl::string_view name);
// $TMPDIR, else /tmp.
std::string TemporaryDirectory();
// From the current directory; "." and ".." stay.
std::string AbsolutePath(absl::string_view path);
// "a/b" -> "a", "b" -> ".", "/b" -> "/".
std::string ParentPath(absl::string_view path);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_ENV_FILE_SYSTEM_H_
