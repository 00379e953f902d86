// DelegatingFileSystem: passes every call on to a real file system; a test overrides those that it
// wants to behave otherwise. Thread: any, as the real one.
#ifndef LOCKSTEP_TESTS_SUPPORT_DELEGATING_FILE_SYSTEM_H_
#define LOCKSTEP_TESTS_SUPPORT_DELEGATING_FILE_SYSTEM_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/env/file_system.h"

namespace lockstep::testing {

class DelegatingFile : public File {
 public:
  explicit DelegatingFile(std::unique_ptr<File> real) : real_(std::move(real)) {}

  absl::StatusOr<size_t> Read(int64_t offset, absl::Span<char> buffer) override {
    return real_->Read(offset, buffer);
  }
  absl::Status Write(int64_t offset, absl::string_view bytes) override {
    return real_->Write(offset, bytes);
  }
  absl::Status Truncate(int64_t size_bytes) override { return real_->Truncate(size_bytes); }
  absl::Status Sync() override { return real_->Sync(); }
  absl::Status Close() override { return real_->Close(); }

 private:
  const std::unique_ptr<File> real_;
};

class DelegatingFileSystem : public FileSystem {
 public:
  explicit DelegatingFileSystem(FileSystem& real = PosixFileSystem()) : real_(real) {}

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override {
    return real_.Open(path, mode);
  }
  absl::StatusOr<std::unique_ptr<MappedFile>> MapFile(const std::string& path) override {
    return real_.MapFile(path);
  }
  absl::StatusOr<std::unique_ptr<FileLock>> LockFile(const std::string& path,
                                                     LockWait wait) override {
    return real_.LockFile(path, wait);
  }
  absl::StatusOr<FileInfo> Stat(const std::string& path) override { return real_.Stat(path); }
  absl::StatusOr<std::vector<DirectoryEntry>> List(const std::string& directory) override {
    return real_.List(directory);
  }
  absl::StatusOr<int64_t> FreeBytes(const std::string& path) override {
    return real_.FreeBytes(path);
  }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    return real_.Rename(from, to);
  }
  absl::Status MakeDirectory(const std::string& path) override { return real_.MakeDirectory(path); }
  absl::StatusOr<std::string> MakeUniqueDirectory(const std::string& prefix) override {
    return real_.MakeUniqueDirectory(prefix);
  }
  absl::Status RemoveFile(const std::string& path) override { return real_.RemoveFile(path); }
  absl::Status RemoveDirectory(const std::string& path) override {
    return real_.RemoveDirectory(path);
  }
  absl::Status Touch(const std::string& path) override { return real_.Touch(path); }
  absl::Status SyncDirectory(const std::string& path) override { return real_.SyncDirectory(path); }

 private:
  FileSystem& real_;
};

}  // namespace lockstep::testing

#endif  // LOCKSTEP_TESTS_SUPPORT_DELEGATING_FILE_SYSTEM_H_
