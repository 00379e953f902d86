#include "common/checkpoint/checkpoint_writer.h"

#include "tests/common/checkpoint/checkpoint_testing.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace lockstep {
namespace {

using testing::FaultyFileSystem;
using ::testing::HasSubstr;
using testing::InfoAt;
using ::testing::IsEmpty;
using testing::Load;
using testing::SmallLayout;
using testing::SmallState;
using testing::StatusIs;
using testing::TempDir;
using testing::WriteCheckpoint;

TEST(CheckpointWriter, WritesPublishesAndPrunesInTheBackground) {
  TempDir dir;
  FileSystem& fs = PosixFileSystem();
  ASSERT_OK(WriteCheckpoint(fs, dir.path(), 4));
  const SmallState state(5);
  ASSERT_OK_AND_ASSIGN(const std::string directory,
                       PrepareCheckpoint(fs, dir.path(), 5, SmallLayout()));
  CheckpointWriter writer(fs, SmallLayout());

  ASSERT_OK(writer.StartWrite(directory, state.Owned(0, 1)));
  const CheckpointOutcome written = writer.Wait();
  ASSERT_OK(written.status);
  ASSERT_OK(writer.StartPublish({.root = dir.path(),
                                 .directory = directory,
                                 .layout = &SmallLayout(),
                                 .info = InfoAt(5),
                                 .ranges = written.ranges},
                                /*keep=*/1));
  const CheckpointOutcome published = writer.Wait();

  ASSERT_OK(published.status);
  EXPECT_OK(published.pruned);
  EXPECT_EQ(published.published.path, dir.File("step-5"));
  EXPECT_TRUE(writer.idle());
  EXPECT_EQ(FindCheckpoints(fs, dir.path())->size(), 1);
  EXPECT_EQ(Load(fs, dir.path())->checkpoint.manifest.info.step, 5);
}

TEST(CheckpointWriter, IsBusyUntilItsOutcomeIsTaken) {
  TempDir dir;
  FileSystem& fs = PosixFileSystem();
  const SmallState state(5);
  ASSERT_OK_AND_ASSIGN(const std::string directory,
                       PrepareCheckpoint(fs, dir.path(), 5, SmallLayout()));
  CheckpointWriter writer(fs, SmallLayout());
  EXPECT_EQ(writer.Poll(), std::nullopt);

  ASSERT_OK(writer.StartWrite(directory, state.Owned(0, 1)));
  EXPECT_THAT(writer.StartWrite(directory, state.Owned(0, 1)),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("skip")));
  EXPECT_FALSE(writer.idle());
  EXPECT_OK(writer.Wait().status);
  EXPECT_OK(writer.StartWrite(directory, state.Owned(0, 1)));
}

TEST(CheckpointWriter, ReportsAFullDiskAndRemovesWhatWasBegun) {
  TempDir dir;
  FaultyFileSystem fs;
  const SmallState state(5);
  ASSERT_OK(WriteCheckpoint(fs, dir.path(), 4));
  ASSERT_OK_AND_ASSIGN(const std::string directory,
                       PrepareCheckpoint(fs, dir.path(), 5, SmallLayout()));
  ASSERT_OK_AND_ASSIGN(const RangeDigests ranges,
                       WriteOwnedRanges(fs, directory, SmallLayout(), state.Owned(0, 1)));
  CheckpointWriter writer(fs, SmallLayout());
  fs.FailAt(fs.calls() + 2,
            absl::ResourceExhaustedError("writing 'MANIFEST': no space left on device"));

  ASSERT_OK(writer.StartPublish({.root = dir.path(),
                                 .directory = directory,
                                 .layout = &SmallLayout(),
                                 .info = InfoAt(5),
                                 .ranges = ranges},
                                /*keep=*/1));

  EXPECT_THAT(writer.Wait().status,
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("no space")));
  EXPECT_EQ(fs.List(dir.path())->size(), 1);
  EXPECT_EQ(Load(fs, dir.path())->checkpoint.manifest.info.step, 4);
}

TEST(CheckpointWriter, FinishesWhatIsInFlightBeforeItEnds) {
  TempDir dir;
  FileSystem& fs = PosixFileSystem();
  const SmallState state(5);
  ASSERT_OK_AND_ASSIGN(PublishRequest request,
                       testing::WriteUnpublished(fs, dir.path(), 5, state, 2));
  {
    CheckpointWriter writer(fs, SmallLayout());
    ASSERT_OK(writer.StartPublish(std::move(request), /*keep=*/1));
  }
  EXPECT_OK(Load(fs, dir.path()));
}

}  // namespace
}  // namespace lockstep
