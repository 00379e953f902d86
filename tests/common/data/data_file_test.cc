#include "common/data/data_file.h"

#include <filesystem>

#include "tests/common/data/data_testing.h"
#include "tests/support/faulty_file_system.h"

namespace lockstep {
namespace {

using testing::DataFolder;
using testing::FaultyFileSystem;
using ::testing::HasSubstr;
using testing::StatusIs;

TEST(DataFile, IsTheBytesAndTheirState) {
  DataFolder folder;
  folder.Write("a", "hello");

  ASSERT_OK_AND_ASSIGN(const DataFile file, OpenDataFile(PosixFileSystem(), folder.File("a")));

  EXPECT_EQ(file.bytes(), "hello");
  EXPECT_EQ(file.path, folder.File("a"));
  EXPECT_EQ(file.state.size_bytes, 5);
  EXPECT_EQ(file.state.inode, PosixFileSystem().Stat(folder.File("a"))->inode);
}

TEST(DataFile, SaysWhatIsMissingAndWhatToDo) {
  DataFolder folder;
  EXPECT_THAT(OpenDataFile(PosixFileSystem(), folder.File("none")),
              StatusIs(absl::StatusCode::kNotFound,
                       "examining '" + folder.File("none") +
                           "': No such file or directory; give a file that this host can read"));
  EXPECT_THAT(OpenDataFile(PosixFileSystem(), folder.path()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("not a regular file")));
}

TEST(DataFile, RefusesAFileWithoutBytesOrRights) {
  DataFolder folder;
  folder.Write("one", "1");
  folder.Write("empty", "");
  EXPECT_OK(OpenDataFile(PosixFileSystem(), folder.File("one")));
  EXPECT_THAT(OpenDataFile(PosixFileSystem(), folder.File("empty")),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("is empty")));
  FaultyFileSystem fs;
  fs.RefuseReading(folder.File("one"), absl::PermissionDeniedError("opening: Permission denied"));
  EXPECT_THAT(OpenDataFile(fs, folder.File("one")),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("that this host can read")));
}

}  // namespace
}  // namespace lockstep
