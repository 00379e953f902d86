// The exemplar of tests on files: a TempDir, the real file system, a FaultyFileSystem where a call
// must fail.
#include "common/env/file_system.h"

#include <chrono>
#include <filesystem>
#include <fstream>

#include "tests/support/faulty_file_system.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace lockstep {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using testing::FaultyFileSystem;
using ::testing::Field;
using ::testing::HasSubstr;
using testing::StatusIs;
using testing::TempDir;

constexpr int64_t kBytesMax = 1 << 20;

void WriteFile(const std::string& path, absl::string_view bytes) {
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<File> file,
                       PosixFileSystem().Open(path, OpenMode::kTruncate));
  ASSERT_OK(file->Write(0, bytes));
  ASSERT_OK(file->Close());
}

TEST(PosixFileSystem, WritesAndReadsAtAnyOffset) {
  TempDir dir;
  FileSystem& fs = PosixFileSystem();
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<File> file,
                       fs.Open(dir.File("a"), OpenMode::kCreateNew));

  ASSERT_OK(file->Truncate(4));
  ASSERT_OK(file->Write(6, "xy"));
  ASSERT_OK(file->Write(1, "b"));
  ASSERT_OK(file->Sync());

  char buffer[16];
  ASSERT_OK_AND_ASSIGN(const size_t count, file->Read(1, absl::MakeSpan(buffer)));
  EXPECT_EQ(absl::string_view(buffer, count), absl::string_view("b\0\0\0\0xy", 7));
  ASSERT_OK_AND_ASSIGN(const size_t past_the_end, file->Read(100, absl::MakeSpan(buffer)));
  EXPECT_EQ(past_the_end, 0);
  EXPECT_OK(file->Close());
}

TEST(PosixFileSystem, OpenModesKeepEmptyOrRefuseWhatExists) {
  TempDir dir;
  FileSystem& fs = PosixFileSystem();
  const std::string path = dir.File("a");

  EXPECT_THAT(fs.Open(path, OpenMode::kUpdate),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr(path)));
  WriteFile(path, "old");
  EXPECT_THAT(fs.Open(path, OpenMode::kCreateNew),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr(path)));
  EXPECT_OK(fs.Open(path, OpenMode::kUpdate));
  EXPECT_EQ(ReadFile(fs, path, kBytesMax).value(), "old");
  EXPECT_OK(fs.Open(path, OpenMode::kTruncate));
  EXPECT_EQ(ReadFile(fs, path, kBytesMax).value(), "");
}

TEST(PosixFileSystem, NamesOperationPathAndReason) {
  TempDir dir;
  FileSystem& fs = PosixFileSystem();
  const std::string path = dir.File("absent");

  EXPECT_THAT(
      fs.Open(path, OpenMode::kRead),
      StatusIs(absl::StatusCode::kNotFound, "opening '" + path + "': No such file or directory"));
  EXPECT_THAT(fs.Open(dir.path(), OpenMode::kTruncate),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("Is a directory")));
  WriteFile(dir.File("file"), "x");
  EXPECT_THAT(fs.List(dir.File("file")),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("Not a directory")));
  ASSERT_OK(fs.MakeDirectory(dir.File("full")));
  WriteFile(dir.File("full/x"), "x");
  EXPECT_THAT(fs.RemoveDirectory(dir.File("full")),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("not empty")));
}

TEST(PosixFileSystem, ReportsAFullDisk) {
  const absl::StatusOr<std::unique_ptr<File>> file =
      PosixFileSystem().Open("/dev/full", OpenMode::kUpdate);
  if (!file.ok()) GTEST_SKIP() << "this machine has no /dev/full";

  EXPECT_THAT((*file)->Write(0, "x"),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       AllOf(HasSubstr("/dev/full"), HasSubstr("No space"))));
}

TEST(PosixFileSystem, ExaminesFilesAndFollowsLinks) {
  TempDir dir;
  FileSystem& fs = PosixFileSystem();
  WriteFile(dir.File("a"), "12345");
  std::filesystem::create_symlink("a", dir.File("link"));

  ASSERT_OK_AND_ASSIGN(const FileInfo file, fs.Stat(dir.File("a")));
  ASSERT_OK_AND_ASSIGN(const FileInfo link, fs.Stat(dir.File("link")));

  EXPECT_EQ(file.type, FileType::kRegular);
  EXPECT_EQ(file.size_bytes, 5);
  EXPECT_EQ(link.inode, file.inode);
  EXPECT_GT(file.modified, absl::UnixEpoch());
  EXPECT_GT(fs.FreeBytes(dir.path()).value(), 0);
  EXPECT_EQ(fs.Exists(dir.File("a")).value(), true);
  EXPECT_EQ(fs.Exists(dir.File("no/such")).value(), false);
}

TEST(PosixFileSystem, TouchMakesAFileYoungAndKeepsItsBytes) {
  TempDir dir;
  FileSystem& fs = PosixFileSystem();
  WriteFile(dir.File("a"), "12345");
  std::filesystem::last_write_time(
      dir.File("a"), std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
  const absl::Time old = fs.Stat(dir.File("a"))->modified;

  ASSERT_OK(fs.Touch(dir.File("a")));

  EXPECT_GT(fs.Stat(dir.File("a"))->modified, old);
  EXPECT_EQ(ReadFile(fs, dir.File("a"), kBytesMax).value(), "12345");
  EXPECT_THAT(fs.Touch(dir.File("none")), StatusIs(absl::StatusCode::kNotFound, HasSubstr("none")));
}

TEST(PosixFileSystem, ListsNamesInOrderWithTheirOwnTypes) {
  TempDir dir;
  FileSystem& fs = PosixFileSystem();
  WriteFile(dir.File("b"), "");
  ASSERT_OK(fs.MakeDirectory(dir.File("c")));
  std::filesystem::create_symlink("c", dir.File("a"));

  const auto entry = [](absl::string_view name, FileType type) {
    return AllOf(Field(&DirectoryEntry::name, name), Field(&DirectoryEntry::type, type));
  };
  EXPECT_THAT(fs.List(dir.path()).value(),
              ElementsAre(entry("a", FileType::kSymlink), entry("b", FileType::kRegular),
                          entry("c", FileType::kDirectory)));
  EXPECT_THAT(fs.List(dir.File("none")), StatusIs(absl::StatusCode::kNotFound, HasSubstr("none")));
}

TEST(PosixFileSystem, MapsFilesEmptyOnesTooAndRefusesDirectories) {
  TempDir dir;
  FileSystem& fs = PosixFileSystem();
  WriteFile(dir.File("a"), "hello");
  WriteFile(dir.File("empty"), "");

  EXPECT_EQ(fs.MapFile(dir.File("a")).value()->bytes(), "hello");
  EXPECT_EQ(fs.MapFile(dir.File("empty")).value()->bytes(), "");
  EXPECT_THAT(fs.MapFile(dir.path()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("not a regular file")));
}

TEST(PosixFileSystem, LockIsHeldByOneAndEndsWithItsHandle) {
  TempDir dir;
  FileSystem& fs = PosixFileSystem();
  absl::StatusOr<std::unique_ptr<FileLock>> held = fs.LockFile(dir.File("lock"), LockWait::kTry);
  ASSERT_OK(held);

  EXPECT_THAT(fs.LockFile(dir.File("lock"), LockWait::kTry),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("lock")));
  held->reset();
  EXPECT_OK(fs.LockFile(dir.File("lock"), LockWait::kTry));
  EXPECT_OK(fs.LockFile(dir.File("lock"), LockWait::kBlock));
}

TEST(FileSystem, MakesAndRemovesTreesWithoutFollowingLinks) {
  TempDir dir;
  FileSystem& fs = PosixFileSystem();
  WriteFile(dir.File("kept"), "x");

  ASSERT_OK(fs.MakeDirectories(dir.File("a/b/c")));
  ASSERT_OK(fs.MakeDirectories(dir.File("a/b/c")));
  WriteFile(dir.File("a/b/f"), "x");
  std::filesystem::create_symlink(dir.path(), dir.File("a/up"));
  ASSERT_OK(fs.RemoveTree(dir.File("a")));
  ASSERT_OK(fs.RemoveTree(dir.File("a")));

  EXPECT_EQ(fs.Exists(dir.File("a")).value(), false);
  EXPECT_EQ(fs.Exists(dir.File("kept")).value(), true);
  EXPECT_THAT(fs.MakeDirectories(dir.File("kept")),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("kept")));
  EXPECT_THAT(fs.MakeDirectories(dir.File("kept/x")),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("kept/x")));
}

// /proc calls everything absent, however often its parent is made.
TEST(FileSystem, GivesUpOnADirectoryThatCannotBeMade) {
  EXPECT_THAT(PosixFileSystem().MakeDirectories("/proc/absent/below"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("'/proc/absent'")));
}

TEST(ReadFile, RefusesMoreThanItsLimit) {
  TempDir dir;
  FileSystem& fs = PosixFileSystem();
  WriteFile(dir.File("a"), "12345");

  EXPECT_EQ(ReadFile(fs, dir.File("a"), 5).value(), "12345");
  EXPECT_THAT(ReadFile(fs, dir.File("a"), 4),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("5 bytes")));
  EXPECT_THAT(ReadFile(fs, dir.path(), 5),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("regular")));
}

TEST(ReplaceFileSynced, LeavesTheOldFileOrTheNewOneWhereverTheProcessDies) {
  TempDir dir;
  const std::string path = dir.File("a");
  int call = 1;
  for (;; ++call) {
    WriteFile(path, "old bytes");
    FaultyFileSystem fs;
    fs.CrashAt(call);
    const absl::Status status = ReplaceFileSynced(fs, path, "new bytes");
    EXPECT_EQ(status.ok(), !fs.crashed());
    EXPECT_THAT(ReadFile(PosixFileSystem(), path, kBytesMax).value(),
                ::testing::AnyOf("old bytes", "new bytes"));
    if (status.ok()) break;
  }
  EXPECT_EQ(call, 7);  // create, write, sync, close, rename, sync the directory
  EXPECT_EQ(ReadFile(PosixFileSystem(), path, kBytesMax).value(), "new bytes");
}

TEST(ReplaceFileSynced, TakesItsTemporaryFileAwayWhenTheDiskIsFull) {
  TempDir dir;
  WriteFile(dir.File("a"), "old");
  FaultyFileSystem fs;
  fs.FailAt(2, absl::ResourceExhaustedError("writing 'a.tmp': no space"));

  EXPECT_THAT(ReplaceFileSynced(fs, dir.File("a"), "new"),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("no space")));
  EXPECT_THAT(fs.List(dir.path()).value(), ElementsAre(Field(&DirectoryEntry::name, "a")));
  EXPECT_EQ(ReadFile(fs, dir.File("a"), kBytesMax).value(), "old");
}

TEST(Paths, JoinAndSplit) {
  EXPECT_EQ(JoinPath("a", "b"), "a/b");
  EXPECT_EQ(JoinPath("a/", "b"), "a/b");
  EXPECT_EQ(JoinPath("", "b"), "b");
  EXPECT_EQ(ParentPath("a/b"), "a");
  EXPECT_EQ(ParentPath("a/b/"), "a");
  EXPECT_EQ(ParentPath("b"), ".");
  EXPECT_EQ(ParentPath("/b"), "/");
  EXPECT_EQ(ParentPath("/"), "/");
}

}  // namespace
}  // namespace lockstep
