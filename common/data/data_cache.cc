#include "common/data/data_cache.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

#include "common/base/fingerprint.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/spec/quantity.h"

namespace lockstep {
namespace {

using Bytes = std::unique_ptr<char[]>;
using Copy = absl::StatusOr<std::unique_ptr<MappedFile>>;

constexpr int64_t kBytesMaxDefault = int64_t{16} << 30;
constexpr char kBytesVariable[] = "LOCKSTEP_CACHE_BYTES";
constexpr absl::string_view kCopySuffix = ".copy";
constexpr absl::string_view kTemporarySuffix = ".tmp";
// Entries share this many lock files, by the first two digits of their names, or each data set ever
// seen would leave one behind. Those that share one wait for each other, no more: a process never
// waits for a second lock.
constexpr size_t kLockDigits = 2;

// Two states of a file never share a name, nor do two variants.
std::string EntryName(const DataFile& source, absl::string_view variant) {
  const FileInfo& state = source.state;
  return ToHex(FingerprintOf128(absl::StrCat(variant, "\n", state.size_bytes, "\n",
                                             absl::ToUnixNanos(state.modified), "\n", state.device,
                                             "\n", state.inode, "\n", source.path)));
}

// What a copy is written to: a file or memory of the copy's size. Counts the bytes, and keeps the
// first error of the disk apart from the errors of whoever writes.
class CopyTarget final : public File {
 public:
  CopyTarget(File& file, int64_t bytes) : file_(&file), bytes_(bytes) {}
  CopyTarget(char* memory, int64_t bytes) : memory_(memory), bytes_(bytes) {}

  const absl::Status& disk_error() const { return disk_error_; }
  bool is_full() const { return end_ == bytes_; }

  absl::Status Write(int64_t offset, absl::string_view bytes) override {
    const int64_t count = static_cast<int64_t>(bytes.size());
    if (offset != end_ || count > bytes_ - end_) {
      return absl::InternalError(absl::StrCat("a copy of ", bytes_, " bytes has ", end_,
                                              " and got ", count, " for offset ", offset));
    }
    if (file_ != nullptr) {
      disk_error_ = file_->Write(offset, bytes);
      LOCKSTEP_RETURN_IF_ERROR(disk_error_);
    } else {
      std::memcpy(memory_ + offset, bytes.data(), bytes.size());
    }
    end_ += count;
    return absl::OkStatus();
  }

  // The rest is the cache's business.
  absl::StatusOr<size_t> Read(int64_t, absl::Span<char>) override { return OnlyWrites(); }
  absl::Status Truncate(int64_t) override { return OnlyWrites(); }
  absl::Status Sync() override { return OnlyWrites(); }
  absl::Status Close() override { return OnlyWrites(); }

 private:
  static absl::Status OnlyWrites() {
    return absl::InternalError("a copy in the making is only written to");
  }

  File* const file_ = nullptr;
  char* const memory_ = nullptr;
  const int64_t bytes_;
  int64_t end_ = 0;
  absl::Status disk_error_;
};

class PrivateCopy final : public MappedFile {
 public:
  PrivateCopy(Bytes memory, size_t size) : memory_(std::move(memory)), size_(size) {}
  absl::string_view bytes() const override { return {memory_.get(), size_}; }

 private:
  const Bytes memory_;
  const size_t size_;
};

// Its value, or "" where it is not set.
std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

// `make` of Get, with what became of it.
class DataCache::Maker {
 public:
  Maker(absl::FunctionRef<absl::Status(File&)> make, int64_t bytes) : make_(make), bytes_(bytes) {}

  int64_t bytes() const { return bytes_; }
  // Not OK once the data themselves were at fault: no other place would help.
  const absl::Status& data_error() const { return data_error_; }

  absl::Status MakeIn(CopyTarget target) {
    absl::Status made = make_(target);
    LOCKSTEP_RETURN_IF_ERROR(target.disk_error());
    if (made.ok() && !target.is_full()) {
      made = absl::InternalError(absl::StrCat("a copy of ", bytes_, " bytes ended early"));
    }
    data_error_ = made;
    return made;
  }

 private:
  const absl::FunctionRef<absl::Status(File&)> make_;
  const int64_t bytes_;
  absl::Status data_error_;
};

DataCache::DataCache(FileSystem& fs, std::string directory, int64_t bytes_max)
    : fs_(fs), directory_(std::move(directory)), bytes_max_(bytes_max) {}

DataCache DataCache::FromEnvironment(FileSystem& fs) {
  std::string directory = Environment("LOCKSTEP_CACHE");
  if (directory.empty()) {
    const std::string xdg = Environment("XDG_CACHE_HOME"), home = Environment("HOME");
    // The XDG specification has relative ones ignored.
    if (absl::StartsWith(xdg, "/")) {
      directory = JoinPath(xdg, "lockstep");
    } else if (!home.empty()) {
      directory = JoinPath(home, ".cache/lockstep");
    }
  }
  int64_t bytes_max = kBytesMaxDefault;
  if (const std::string text = Environment(kBytesVariable); !text.empty()) {
    int64_t number = 0;
    const Value value = absl::SimpleAtoi(text, &number) ? Value::Int(number) : Value::String(text);
    const absl::StatusOr<int64_t> bytes = ParseBytes(value, kBytesVariable);
    if (bytes.ok()) {
      bytes_max = *bytes;
    } else {
      Log(LogLevel::kWarning, "data_cache_bound_ignored",
          {{"error", bytes.status().ToString()}, {"bytes_max", bytes_max}});
    }
  }
  return DataCache(fs, std::move(directory), bytes_max);
}

Copy DataCache::Get(const DataFile& source, absl::string_view variant, int64_t bytes,
                    absl::FunctionRef<absl::Status(File&)> make) {
  Maker maker(make, bytes);
  Copy shared = GetShared(EntryName(source, variant), maker);
  if (shared.ok() || !maker.data_error().ok()) return shared;
  Log(LogLevel::kWarning, "data_cache_unavailable",
      {{"source", source.path}, {"bytes", bytes}, {"error", shared.status().ToString()}});
  const size_t size = static_cast<size_t>(bytes);
  Bytes memory(new (std::nothrow) char[size]);
  if (memory == nullptr) {
    return absl::ResourceExhaustedError(absl::StrCat("no memory for a copy of ", bytes,
                                                     " bytes, and the cache has no place for it (",
                                                     shared.status().message(), ")"));
  }
  LOCKSTEP_RETURN_IF_ERROR(maker.MakeIn(CopyTarget(memory.get(), bytes)));
  return std::make_unique<PrivateCopy>(std::move(memory), size);
}

Copy DataCache::GetShared(const std::string& name, Maker& maker) {
  if (directory_.empty()) {
    return absl::FailedPreconditionError("no directory for the cache; set LOCKSTEP_CACHE");
  }
  const std::string path = JoinPath(directory_, absl::StrCat(name, kCopySuffix));
  if (std::unique_ptr<MappedFile> found = FindShared(path, maker.bytes())) return found;
  if (maker.bytes() > bytes_max_) {
    return absl::ResourceExhaustedError(absl::StrCat("the copy is larger than the whole cache of ",
                                                     bytes_max_,
                                                     " bytes may be; raise LOCKSTEP_CACHE_BYTES"));
  }
  LOCKSTEP_RETURN_IF_ERROR(fs_.MakeDirectories(directory_));
  LOCKSTEP_ASSIGN_OR_RETURN(const std::unique_ptr<FileLock> lock,
                            fs_.LockFile(LockPath(name), LockWait::kBlock));
  // Whoever held the lock may have made it.
  if (std::unique_ptr<MappedFile> found = FindShared(path, maker.bytes())) return found;
  Copy made = MakeShared(path, maker);
  if (!made.ok()) {
    // The first error is the one that explains; the next process takes the file away.
    fs_.RemoveFile(absl::StrCat(path, kTemporarySuffix)).IgnoreError();
  }
  return made;
}

std::unique_ptr<MappedFile> DataCache::FindShared(const std::string& path, int64_t bytes) {
  Copy found = fs_.MapFile(path);
  if (!found.ok() || static_cast<int64_t>((*found)->bytes().size()) != bytes) return nullptr;
  fs_.Touch(path).IgnoreError();  // then it goes sooner than it should
  return *std::move(found);
}

Copy DataCache::MakeShared(const std::string& path, Maker& maker) {
  const std::string temporary = absl::StrCat(path, kTemporarySuffix);
  LOCKSTEP_ASSIGN_OR_RETURN(const std::unique_ptr<File> file,
                            fs_.Open(temporary, OpenMode::kTruncate));
  // Others that make room at this time see the size that it is going to have.
  LOCKSTEP_RETURN_IF_ERROR(file->Truncate(maker.bytes()));
  LOCKSTEP_RETURN_IF_ERROR(MakeRoom());
  LOCKSTEP_ASSIGN_OR_RETURN(const int64_t free_bytes, fs_.FreeBytes(directory_));
  if (free_bytes < maker.bytes()) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the disk of '", directory_, "' has ", free_bytes, " bytes left"));
  }
  LOCKSTEP_RETURN_IF_ERROR(maker.MakeIn(CopyTarget(*file, maker.bytes())));
  LOCKSTEP_RETURN_IF_ERROR(file->Sync());
  LOCKSTEP_RETURN_IF_ERROR(file->Close());
  // Before it has its name: another process may remove it as soon as it has.
  LOCKSTEP_ASSIGN_OR_RETURN(std::unique_ptr<MappedFile> copy, fs_.MapFile(temporary));
  LOCKSTEP_RETURN_IF_ERROR(fs_.Rename(temporary, path));
  return copy;  // the directory is not synced: a crash may cost the copy, no more
}

absl::Status DataCache::MakeRoom() {
  struct Entry {
    absl::Time used;
    std::string path;
    int64_t bytes;
  };
  LOCKSTEP_ASSIGN_OR_RETURN(const std::vector<DirectoryEntry> files, fs_.List(directory_));
  std::vector<Entry> copies;
  int64_t total = 0;
  for (const DirectoryEntry& file : files) {
    const bool is_copy = absl::EndsWith(file.name, kCopySuffix);
    if (!is_copy && !absl::EndsWith(file.name, kTemporarySuffix)) continue;
    const std::string path = JoinPath(directory_, file.name);
    const absl::StatusOr<FileInfo> info = fs_.Stat(path);
    if (absl::IsNotFound(info.status())) continue;  // another process was quicker
    LOCKSTEP_RETURN_IF_ERROR(info.status());
    if (!is_copy && RemoveIfAbandoned(file.name)) continue;
    total += info->size_bytes;
    if (is_copy) copies.push_back({info->modified, path, info->size_bytes});
  }
  std::sort(copies.begin(), copies.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.used, a.path) < std::tie(b.used, b.path);
  });
  for (const Entry& copy : copies) {
    if (total <= bytes_max_) break;
    absl::Status removed = fs_.RemoveFile(copy.path);
    if (!removed.ok() && !absl::IsNotFound(removed)) return removed;
    total -= copy.bytes;
  }
  return absl::OkStatus();
}

// A process that writes holds the lock; if it died, nobody does.
bool DataCache::RemoveIfAbandoned(absl::string_view temporary_name) {
  const absl::StatusOr<std::unique_ptr<FileLock>> lock =
      fs_.LockFile(LockPath(temporary_name), LockWait::kTry);
  return lock.ok() && fs_.RemoveFile(JoinPath(directory_, temporary_name)).ok();
}

std::string DataCache::LockPath(absl::string_view name) const {
  return JoinPath(directory_, absl::StrCat("lock-", name.substr(0, kLockDigits)));
}

}  // namespace lockstep
