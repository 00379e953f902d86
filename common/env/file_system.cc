#include "common/env/file_system.h"

#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"

#include "common/base/status_macros.h"

namespace lockstep {
namespace {

absl::Status WriteSynced(FileSystem& fs, const std::string& path,
                         absl::FunctionRef<absl::Status(File&)> write) {
  LOCKSTEP_ASSIGN_OR_RETURN(std::unique_ptr<File> file, fs.Open(path, OpenMode::kTruncate));
  LOCKSTEP_RETURN_IF_ERROR(write(*file));
  LOCKSTEP_RETURN_IF_ERROR(file->Sync());
  return file->Close();
}

}  // namespace

absl::Status FileSystem::MakeDirectories(const std::string& path) {
  absl::Status made = MakeDirectory(path);
  if (absl::IsNotFound(made) && ParentPath(path) != path) {
    LOCKSTEP_RETURN_IF_ERROR(MakeDirectories(ParentPath(path)));
    made = MakeDirectory(path);  // once: /proc says for ever that it is not found
  }
  if (made.ok()) return made;
  // Present, made by somebody else meanwhile, or on a disk that is read-only but holds it already.
  const absl::StatusOr<FileInfo> info = Stat(path);
  return info.ok() && info->type == FileType::kDirectory ? absl::OkStatus() : made;
}

absl::Status FileSystem::RemoveTree(const std::string& path) {
  const absl::StatusOr<std::vector<DirectoryEntry>> entries = List(path);
  if (absl::IsNotFound(entries.status())) return absl::OkStatus();
  LOCKSTEP_RETURN_IF_ERROR(entries.status());
  for (const DirectoryEntry& entry : *entries) {
    const std::string child = JoinPath(path, entry.name);
    const absl::Status removed =
        entry.type == FileType::kDirectory ? RemoveTree(child) : RemoveFile(child);
    if (!removed.ok() && !absl::IsNotFound(removed)) return removed;
  }
  const absl::Status removed = RemoveDirectory(path);
  return absl::IsNotFound(removed) ? absl::OkStatus() : removed;
}

absl::StatusOr<bool> FileSystem::Exists(const std::string& path) {
  const absl::StatusOr<FileInfo> info = Stat(path);
  if (info.ok()) return true;
  if (absl::IsNotFound(info.status())) return false;
  return info.status();
}

absl::StatusOr<std::string> ReadFile(FileSystem& fs, const std::string& path,
                                     int64_t size_bytes_max) {
  LOCKSTEP_ASSIGN_OR_RETURN(const FileInfo info, fs.Stat(path));
  if (info.type != FileType::kRegular) {
    return absl::FailedPreconditionError(
        absl::StrCat("reading '", path, "': it is not a regular file; give the path of one"));
  }
  if (info.size_bytes > size_bytes_max) {
    return absl::ResourceExhaustedError(
        absl::StrCat("reading '", path, "': it has ", info.size_bytes, " bytes, at most ",
                     size_bytes_max, " are read; use a smaller one"));
  }
  LOCKSTEP_ASSIGN_OR_RETURN(std::unique_ptr<File> file, fs.Open(path, OpenMode::kRead));
  std::string bytes(static_cast<size_t>(info.size_bytes), '\0');
  LOCKSTEP_ASSIGN_OR_RETURN(const size_t count, file->Read(0, absl::MakeSpan(bytes)));
  bytes.resize(count);
  return bytes;
}

absl::Status ReplaceFileSynced(FileSystem& fs, const std::string& path, absl::string_view bytes) {
  return ReplaceFileSynced(fs, path, [bytes](File& file) { return file.Write(0, bytes); });
}

absl::Status ReplaceFileSynced(FileSystem& fs, const std::string& path,
                               absl::FunctionRef<absl::Status(File&)> write) {
  const std::string temporary = absl::StrCat(path, ".tmp");
  absl::Status status = WriteSynced(fs, temporary, write);
  if (status.ok()) status = fs.Rename(temporary, path);
  if (!status.ok()) {
    fs.RemoveFile(temporary).IgnoreError();  // the first error is the one that explains
    return status;
  }
  return fs.SyncDirectory(ParentPath(path));
}

std::string JoinPath(absl::string_view directory, absl::string_view name) {
  if (directory.empty()) return std::string(name);
  return absl::StrCat(directory, directory.back() == '/' ? "" : "/", name);
}

std::string TemporaryDirectory() {
  const char* const directory = std::getenv("TMPDIR");
  return directory == nullptr || *directory == '\0' ? "/tmp" : directory;
}

std::string AbsolutePath(absl::string_view path) {
  if (!path.empty() && path.front() == '/') return std::string(path);
  std::error_code error;
  return JoinPath(std::filesystem::current_path(error).string(), path);
}

std::string ParentPath(absl::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  const size_t slash = path.rfind('/');
  if (slash == absl::string_view::npos) return ".";
  return std::string(path.substr(0, slash == 0 ? 1 : slash));
}

}  // namespace lockstep
