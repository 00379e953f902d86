#include "tests/support/faulty_file_system.h"

#include <utility>

#include "common/base/status_macros.h"

namespace lockstep::testing {

class FaultyFile final : public File {
 public:
  FaultyFile(FaultyFileSystem& owner, std::unique_ptr<File> real, OpenMode mode)
      : owner_(owner), real_(std::move(real)), written_(mode != OpenMode::kRead) {}

  absl::StatusOr<size_t> Read(int64_t offset, absl::Span<char> buffer) override {
    LOCKSTEP_RETURN_IF_ERROR(owner_.CheckReading(""));
    return real_->Read(offset, buffer);
  }
  absl::Status Write(int64_t offset, absl::string_view bytes) override {
    const bool was_crashed = owner_.crashed();
    const absl::Status failure = owner_.CountCall();
    if (!failure.ok() && !was_crashed) {
      LOCKSTEP_RETURN_IF_ERROR(real_->Write(offset, bytes.substr(0, bytes.size() / 2)));
    }
    return failure.ok() ? real_->Write(offset, bytes) : failure;
  }
  absl::Status Truncate(int64_t size_bytes) override {
    const absl::Status failure = owner_.CountCall();
    return failure.ok() ? real_->Truncate(size_bytes) : failure;
  }
  absl::Status Sync() override {
    const absl::Status failure = owner_.CountCall();
    return failure.ok() ? real_->Sync() : failure;
  }
  absl::Status Close() override {
    const absl::Status failure = written_ ? owner_.CountCall() : absl::OkStatus();
    const absl::Status closed = real_->Close();
    return failure.ok() ? closed : failure;
  }

 private:
  FaultyFileSystem& owner_;
  const std::unique_ptr<File> real_;
  const bool written_;
};

void FaultyFileSystem::FailAt(int call, absl::Status status) {
  fail_at_ = call;
  failure_ = std::move(status);
}

void FaultyFileSystem::CrashAt(int call) {
  fail_at_ = call;
  crash_ = true;
  failure_ = absl::AbortedError("the process is dead");
}

void FaultyFileSystem::RefuseReading(std::string path, absl::Status status) {
  refused_path_ = std::move(path);
  refusal_ = std::move(status);
}

absl::Status FaultyFileSystem::CountCall() {
  const int call = ++calls_;
  const bool dead = crash_ && call >= fail_at_;
  return call == fail_at_ || dead ? failure_ : absl::OkStatus();
}

absl::Status FaultyFileSystem::CheckReading(const std::string& path) const {
  if (crashed()) return failure_;
  return path == refused_path_ ? refusal_ : absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<File>> FaultyFileSystem::Open(const std::string& path,
                                                             OpenMode mode) {
  LOCKSTEP_RETURN_IF_ERROR(CheckReading(path));
  if (mode == OpenMode::kCreateNew || mode == OpenMode::kTruncate)
    LOCKSTEP_RETURN_IF_ERROR(CountCall());
  LOCKSTEP_ASSIGN_OR_RETURN(std::unique_ptr<File> file, real_.Open(path, mode));
  return std::make_unique<FaultyFile>(*this, std::move(file), mode);
}

absl::StatusOr<std::unique_ptr<MappedFile>> FaultyFileSystem::MapFile(const std::string& path) {
  LOCKSTEP_RETURN_IF_ERROR(CheckReading(path));
  return real_.MapFile(path);
}

absl::StatusOr<std::unique_ptr<FileLock>> FaultyFileSystem::LockFile(const std::string& path,
                                                                     LockWait wait) {
  LOCKSTEP_RETURN_IF_ERROR(CheckReading(path));
  return real_.LockFile(path, wait);
}

absl::StatusOr<FileInfo> FaultyFileSystem::Stat(const std::string& path) {
  LOCKSTEP_RETURN_IF_ERROR(CheckReading(path));
  return real_.Stat(path);
}

absl::StatusOr<std::vector<DirectoryEntry>> FaultyFileSystem::List(const std::string& directory) {
  LOCKSTEP_RETURN_IF_ERROR(CheckReading(directory));
  return real_.List(directory);
}

absl::StatusOr<int64_t> FaultyFileSystem::FreeBytes(const std::string& path) {
  LOCKSTEP_RETURN_IF_ERROR(CheckReading(path));
  if (free_bytes_ >= 0) return free_bytes_;
  return real_.FreeBytes(path);
}

absl::Status FaultyFileSystem::Rename(const std::string& from, const std::string& to) {
  LOCKSTEP_RETURN_IF_ERROR(CountCall());
  return real_.Rename(from, to);
}

absl::Status FaultyFileSystem::MakeDirectory(const std::string& path) {
  LOCKSTEP_RETURN_IF_ERROR(CountCall());
  return real_.MakeDirectory(path);
}

absl::StatusOr<std::string> FaultyFileSystem::MakeUniqueDirectory(const std::string& prefix) {
  LOCKSTEP_RETURN_IF_ERROR(CountCall());
  return real_.MakeUniqueDirectory(prefix);
}

absl::Status FaultyFileSystem::RemoveFile(const std::string& path) {
  LOCKSTEP_RETURN_IF_ERROR(CountCall());
  return real_.RemoveFile(path);
}

absl::Status FaultyFileSystem::RemoveDirectory(const std::string& path) {
  LOCKSTEP_RETURN_IF_ERROR(CountCall());
  return real_.RemoveDirectory(path);
}

absl::Status FaultyFileSystem::Touch(const std::string& path) {
  LOCKSTEP_RETURN_IF_ERROR(CountCall());
  return real_.Touch(path);
}

absl::Status FaultyFileSystem::SyncDirectory(const std::string& path) {
  LOCKSTEP_RETURN_IF_ERROR(CountCall());
  return real_.SyncDirectory(path);
}

}  // namespace lockstep::testing
