#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"

#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "common/env/file_system.h"
#include "common/env/unique_fd.h"

namespace lockstep {
namespace {

absl::StatusCode CodeOf(int error) {
  switch (error) {
    case ENOENT:
      return absl::StatusCode::kNotFound;
    case EEXIST:
      return absl::StatusCode::kAlreadyExists;
    case EACCES:
    case EPERM:
      return absl::StatusCode::kPermissionDenied;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case EFBIG:
      return absl::StatusCode::kResourceExhausted;
    case EISDIR:
    case ENOTDIR:
    case ENOTEMPTY:
    case EROFS:
    case ELOOP:
    case EBUSY:
    case EXDEV:
      return absl::StatusCode::kFailedPrecondition;
    case ENAMETOOLONG:
    case EINVAL:
      return absl::StatusCode::kInvalidArgument;
    default:
      return absl::StatusCode::kUnknown;
  }
}

absl::Status Error(absl::string_view operation, const std::string& path, int error) {
  return absl::Status(CodeOf(error), absl::StrCat(operation, " '", path,
                                                  "': ", std::generic_category().message(error)));
}

absl::Status Check(int result, absl::string_view operation, const std::string& path) {
  return result == 0 ? absl::OkStatus() : Error(operation, path, errno);
}

FileType TypeOf(mode_t mode) {
  if (S_ISREG(mode)) return FileType::kRegular;
  if (S_ISDIR(mode)) return FileType::kDirectory;
  if (S_ISLNK(mode)) return FileType::kSymlink;
  return FileType::kOther;
}

template <typename Call>
auto RetryInterrupted(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

absl::StatusOr<UniqueFd> OpenFd(const std::string& path, int flags, absl::string_view operation) {
  UniqueFd fd(RetryInterrupted([&] { return open(path.c_str(), flags | O_CLOEXEC, 0600); }));
  if (!fd.is_open()) return Error(operation, path, errno);
  return fd;
}

class PosixFile final : public File {
 public:
  PosixFile(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  absl::StatusOr<size_t> Read(int64_t offset, absl::Span<char> buffer) override {
    size_t done = 0;
    while (done < buffer.size()) {
      const ssize_t count = RetryInterrupted([&] {
        return pread(fd_.get(), buffer.data() + done, buffer.size() - done,
                     offset + static_cast<int64_t>(done));
      });
      if (count < 0) return Error("reading", path_, errno);
      if (count == 0) break;
      done += static_cast<size_t>(count);
    }
    return done;
  }

  absl::Status Write(int64_t offset, absl::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t count =
          RetryInterrupted([&] { return pwrite(fd_.get(), bytes.data(), bytes.size(), offset); });
      if (count < 0) return Error("writing", path_, errno);
      bytes.remove_prefix(static_cast<size_t>(count));
      offset += count;
    }
    return absl::OkStatus();
  }

  absl::Status Truncate(int64_t size_bytes) override {
    return Check(RetryInterrupted([&] { return ftruncate(fd_.get(), size_bytes); }), "resizing",
                 path_);
  }

  absl::Status Sync() override { return Check(fsync(fd_.get()), "syncing", path_); }

  absl::Status Close() override {
    LOCKSTEP_CHECK(fd_.is_open());
    // Linux frees the descriptor whatever close() says: never a second time. Disk quotas are
    // reported here on NFS.
    return Check(close(fd_.Release()), "closing", path_);
  }

 private:
  UniqueFd fd_;
  const std::string path_;
};

class PosixMappedFile final : public MappedFile {
 public:
  PosixMappedFile(void* address, size_t size) : address_(address), size_(size) {}
  PosixMappedFile(const PosixMappedFile&) = delete;
  PosixMappedFile& operator=(const PosixMappedFile&) = delete;
  ~PosixMappedFile() override {
    if (size_ > 0) munmap(address_, size_);
  }
  absl::string_view bytes() const override { return {static_cast<const char*>(address_), size_}; }

 private:
  void* const address_;
  const size_t size_;
};

class PosixFileLock final : public FileLock {
 public:
  explicit PosixFileLock(UniqueFd fd) : fd_(std::move(fd)) {}

 private:
  const UniqueFd fd_;  // flock(2) ends with the last descriptor
};

class PosixFileSystemImpl final : public FileSystem {
 public:
  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override {
    int flags = 0;
    switch (mode) {
      case OpenMode::kRead:
        flags = O_RDONLY;
        break;
      case OpenMode::kUpdate:
        flags = O_RDWR;
        break;
      case OpenMode::kCreateNew:
        flags = O_RDWR | O_CREAT | O_EXCL;
        break;
      case OpenMode::kTruncate:
        flags = O_RDWR | O_CREAT | O_TRUNC;
        break;
    }
    LOCKSTEP_ASSIGN_OR_RETURN(
        UniqueFd fd, OpenFd(path, flags, mode == OpenMode::kRead ? "opening" : "creating"));
    return std::make_unique<PosixFile>(std::move(fd), path);
  }

  absl::StatusOr<std::unique_ptr<MappedFile>> MapFile(const std::string& path) override {
    LOCKSTEP_ASSIGN_OR_RETURN(const UniqueFd fd, OpenFd(path, O_RDONLY | O_NONBLOCK, "opening"));
    struct stat info = {};
    LOCKSTEP_RETURN_IF_ERROR(Check(fstat(fd.get(), &info), "examining", path));
    if (!S_ISREG(info.st_mode)) {
      return absl::FailedPreconditionError(
          absl::StrCat("mapping '", path, "': it is not a regular file; give the path of one"));
    }
    const size_t size = static_cast<size_t>(info.st_size);
    if (size == 0)
      return std::make_unique<PosixMappedFile>(nullptr, 0);  // mmap refuses an empty range
    void* const address = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
    if (address == MAP_FAILED) return Error("mapping", path, errno);
    return std::make_unique<PosixMappedFile>(address, size);
  }

  absl::StatusOr<std::unique_ptr<FileLock>> LockFile(const std::string& path,
                                                     LockWait wait) override {
    LOCKSTEP_ASSIGN_OR_RETURN(UniqueFd fd, OpenFd(path, O_RDWR | O_CREAT, "creating"));
    const int operation = LOCK_EX | (wait == LockWait::kTry ? LOCK_NB : 0);
    if (RetryInterrupted([&] { return flock(fd.get(), operation); }) != 0) {
      if (errno != EWOULDBLOCK) return Error("locking", path, errno);
      return absl::UnavailableError(absl::StrCat("locking '", path, "': another process holds it"));
    }
    return std::make_unique<PosixFileLock>(std::move(fd));
  }

  absl::StatusOr<FileInfo> Stat(const std::string& path) override {
    struct stat info = {};
    LOCKSTEP_RETURN_IF_ERROR(Check(stat(path.c_str(), &info), "examining", path));
    return FileInfo{.type = TypeOf(info.st_mode),
                    .size_bytes = info.st_size,
                    .modified = absl::TimeFromTimespec(info.st_mtim),
                    .inode = info.st_ino,
                    .device = info.st_dev};
  }

  absl::StatusOr<std::vector<DirectoryEntry>> List(const std::string& directory) override {
    std::vector<DirectoryEntry> entries;
    std::error_code error;
    for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end;
         entry.increment(error)) {
      struct stat info = {};
      // Gone since it was listed: as if it had not been there.
      if (lstat(entry->path().c_str(), &info) != 0) continue;
      entries.push_back({.name = entry->path().filename(), .type = TypeOf(info.st_mode)});
    }
    if (error) return Error("listing", directory, error.value());
    std::sort(entries.begin(), entries.end(),
              [](const DirectoryEntry& a, const DirectoryEntry& b) { return a.name < b.name; });
    return entries;
  }

  absl::StatusOr<int64_t> FreeBytes(const std::string& path) override {
    struct statvfs info = {};
    LOCKSTEP_RETURN_IF_ERROR(Check(statvfs(path.c_str(), &info), "examining the disk of", path));
    const uint64_t unit = info.f_frsize;
    if (info.f_bavail >
        uint64_t{std::numeric_limits<int64_t>::max()} / std::max<uint64_t>(unit, 1)) {
      return std::numeric_limits<int64_t>::max();
    }
    return static_cast<int64_t>(info.f_bavail * unit);
  }

  absl::Status Rename(const std::string& from, const std::string& to) override {
    if (rename(from.c_str(), to.c_str()) == 0) return absl::OkStatus();
    return Error(absl::StrCat("renaming '", from, "' to"), to, errno);
  }

  absl::Status MakeDirectory(const std::string& path) override {
    return Check(mkdir(path.c_str(), 0700), "making the directory", path);
  }

  absl::StatusOr<std::string> MakeUniqueDirectory(const std::string& prefix) override {
    std::string path = absl::StrCat(prefix, "XXXXXX");
    if (mkdtemp(path.data()) == nullptr) return Error("making a directory", path, errno);
    return path;
  }

  absl::Status RemoveFile(const std::string& path) override {
    return Check(unlink(path.c_str()), "removing", path);
  }

  absl::Status RemoveDirectory(const std::string& path) override {
    return Check(rmdir(path.c_str()), "removing the directory", path);
  }

  absl::Status Touch(const std::string& path) override {
    return Check(utimensat(AT_FDCWD, path.c_str(), nullptr, 0), "touching", path);
  }

  absl::Status SyncDirectory(const std::string& path) override {
    LOCKSTEP_ASSIGN_OR_RETURN(const UniqueFd fd,
                              OpenFd(path, O_RDONLY | O_DIRECTORY, "opening the directory"));
    return Check(fsync(fd.get()), "syncing the directory", path);
  }
};

}  // namespace

FileSystem& PosixFileSystem() {
  static PosixFileSystemImpl* const file_system = new PosixFileSystemImpl;
  return *file_system;
}

}  // namespace lockstep
