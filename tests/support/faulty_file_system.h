// FaultyFileSystem: a real file system whose n-th changing call fails, once or, like a process
// killed there, with all after it. Thread: any once it is set up; with several it is chance whose
// call is the n-th. Changing calls are creations, writes, truncations, touches, syncs, closes of
// written files, renames, removals; they are counted from 1.
#ifndef LOCKSTEP_TESTS_SUPPORT_FAULTY_FILE_SYSTEM_H_
#define LOCKSTEP_TESTS_SUPPORT_FAULTY_FILE_SYSTEM_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"

#include "common/env/file_system.h"

namespace lockstep::testing {

class FaultyFileSystem final : public FileSystem {
 public:
  explicit FaultyFileSystem(FileSystem& real = PosixFileSystem()) : real_(real) {}

  // Call `call` fails with `status`, every other one works. A failing write stores the first half
  // of its bytes.
  void FailAt(int call, absl::Status status);
  // Call `call` is cut short as above and from then on nothing works, not even reading.
  void CrashAt(int call);
  // Opening, mapping, listing or examining exactly `path` fails with `status`.
  void RefuseReading(std::string path, absl::Status status);
  void SetFreeBytes(int64_t bytes) { free_bytes_ = bytes; }

  int calls() const { return calls_; }
  bool crashed() const { return crash_ && calls_ >= fail_at_; }

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override;
  absl::StatusOr<std::unique_ptr<MappedFile>> MapFile(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<FileLock>> LockFile(const std::string& path,
                                                     LockWait wait) override;
  absl::StatusOr<FileInfo> Stat(const std::string& path) override;
  absl::StatusOr<std::vector<DirectoryEntry>> List(const std::string& directory) override;
  absl::StatusOr<int64_t> FreeBytes(const std::string& path) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status MakeDirectory(const std::string& path) override;
  absl::StatusOr<std::string> MakeUniqueDirectory(const std::string& prefix) override;
  absl::Status RemoveFile(const std::string& path) override;
  absl::Status RemoveDirectory(const std::string& path) override;
  absl::Status Touch(const std::string& path) override;
  absl::Status SyncDirectory(const std::string& path) override;

 private:
  friend class FaultyFile;

  absl::Status CountCall();  // the status that a changing call must return, if it is to fail
  absl::Status CheckReading(const std::string& path) const;

  FileSystem& real_;
  std::atomic<int> calls_ = 0;
  int fail_at_ = 0;  // 0: never
  bool crash_ = false;
  absl::Status failure_;
  std::string refused_path_;
  absl::Status refusal_;
  int64_t free_bytes_ = -1;  // negative: the real figure
};

}  // namespace lockstep::testing

#endif  // LOCKSTEP_TESTS_SUPPORT_FAULTY_FILE_SYSTEM_H_
