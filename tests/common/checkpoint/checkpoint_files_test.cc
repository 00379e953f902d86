#include "common/checkpoint/checkpoint_files.h"

#include <limits>

#include "tests/common/checkpoint/checkpoint_testing.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace lockstep {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using testing::FaultyFileSystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::Load;
using testing::SmallLayout;
using testing::SmallState;
using testing::StatusIs;
using testing::TempDir;
using testing::WriteCheckpoint;
using testing::WriteUnpublished;

constexpr int64_t kBytesMax = 1 << 20;

std::string FileBytes(const std::string& path) {
  return ReadFile(PosixFileSystem(), path, kBytesMax).value();
}

std::vector<std::string> Names(const std::string& directory) {
  const std::vector<DirectoryEntry> entries = PosixFileSystem().List(directory).value();
  std::vector<std::string> names;
  for (const DirectoryEntry& entry : entries) names.push_back(entry.name);
  return names;
}

TEST(Checkpoint, FilesDoNotDependOnWhoOwnsWhat) {
  TempDir dir;
  FileSystem& fs = PosixFileSystem();
  ASSERT_OK_AND_ASSIGN(const PublishedCheckpoint one, WriteCheckpoint(fs, dir.File("1"), 5, 1));

  for (int owners = 2; owners <= 5; ++owners) {
    ASSERT_OK_AND_ASSIGN(const PublishedCheckpoint other,
                         WriteCheckpoint(fs, dir.File(absl::StrCat(owners)), 5, owners));
    for (const char* name : {"values.safetensors", "optimizer.safetensors"}) {
      EXPECT_EQ(FileBytes(JoinPath(other.path, name)), FileBytes(JoinPath(one.path, name)))
          << owners;
    }
    EXPECT_EQ(other.model_sha256, one.model_sha256);
    EXPECT_OK(Load(fs, dir.File(absl::StrCat(owners))));
  }
}

TEST(Checkpoint, HoldsNothingButItsThreeFiles) {
  TempDir dir;
  ASSERT_OK_AND_ASSIGN(const PublishedCheckpoint published,
                       WriteCheckpoint(PosixFileSystem(), dir.File("c"), 5));

  EXPECT_THAT(Names(dir.File("c")), ElementsAre("step-5"));
  EXPECT_THAT(Names(published.path),
              ElementsAre("MANIFEST", "optimizer.safetensors", "values.safetensors"));
}

// The crash matrix: whatever call of the second checkpoint, or of the pruning after it, is the last
// one of the process, the first or the second checkpoint is there as a whole, and the next attempt
// can write the second one again.
TEST(Checkpoint, IsCompleteOrAbsentWhereverTheProcessDies) {
  int call = 1;
  for (bool done = false; !done; ++call) {
    SCOPED_TRACE(call);
    TempDir dir;
    FileSystem& real = PosixFileSystem();
    ASSERT_OK(WriteCheckpoint(real, dir.path(), 5));
    FaultyFileSystem fs;
    fs.CrashAt(call);

    const bool published = WriteCheckpoint(fs, dir.path(), 6).ok();
    done = published && PruneCheckpoints(fs, dir.path(), 1, 6).ok();

    ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint loaded, Load(real, dir.path()));
    EXPECT_THAT(loaded.rejected, IsEmpty());
    EXPECT_THAT(loaded.checkpoint.manifest.info.step, AnyOf(published ? 6 : 5, 6));
    ASSERT_OK(RemoveUnfinishedCheckpoints(real, dir.path()));
    EXPECT_THAT(Names(dir.path()), AnyOf(ElementsAre("step-5"), ElementsAre("step-5", "step-6"),
                                         ElementsAre("step-6")));
    EXPECT_THAT(WriteCheckpoint(real, dir.path(), 6).status().code(),
                AnyOf(absl::StatusCode::kOk, absl::StatusCode::kAlreadyExists));
    EXPECT_EQ(Load(real, dir.path())->checkpoint.manifest.info.step, 6);
  }
  EXPECT_GT(call, 30);  // every call of the protocol has been cut
}

TEST(Checkpoint, SurvivesAFullDiskAtEveryCall) {
  for (int call = 1;; ++call) {
    SCOPED_TRACE(call);
    TempDir dir;
    FaultyFileSystem fs;
    ASSERT_OK(WriteCheckpoint(fs, dir.path(), 5));
    const int before = fs.calls();
    fs.FailAt(before + call, absl::ResourceExhaustedError("writing 'x': no space left on device"));

    const absl::StatusOr<PublishedCheckpoint> second = WriteCheckpoint(fs, dir.path(), 6);

    if (fs.calls() < before + call) break;
    ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint loaded, Load(fs, dir.path()));
    EXPECT_THAT(loaded.rejected, IsEmpty());
    EXPECT_TRUE(second.ok() || absl::IsResourceExhausted(second.status())) << second.status();
    EXPECT_OK(WriteCheckpoint(fs, dir.path(), 7));
  }
}

TEST(PrepareCheckpoint, RefusesADiskWithoutRoom) {
  TempDir dir;
  FaultyFileSystem fs;
  fs.SetFreeBytes(SmallLayout().size_bytes() - 1);

  EXPECT_THAT(PrepareCheckpoint(fs, dir.path(), 5, SmallLayout()),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       AllOf(HasSubstr(absl::StrCat("takes ", SmallLayout().size_bytes())),
                             HasSubstr("make room"))));
  EXPECT_THAT(Names(dir.path()), IsEmpty());
  fs.SetFreeBytes(SmallLayout().size_bytes());
  EXPECT_OK(PrepareCheckpoint(fs, dir.path(), 5, SmallLayout()));
}

TEST(WriteOwnedRanges, RefusesWhatTheLayoutDoesNotHold) {
  TempDir dir;
  FileSystem& fs = PosixFileSystem();
  ASSERT_OK_AND_ASSIGN(const std::string directory,
                       PrepareCheckpoint(fs, dir.path(), 5, SmallLayout()));
  const std::vector<float> three(3);
  const auto write = [&](const std::string& tensor, int64_t first) {
    return WriteOwnedRanges(fs, directory, SmallLayout(),
                            {.owner = 0,
                             .pieces = {{.file = CheckpointFile::kValues,
                                         .tensor = tensor,
                                         .first_element = first,
                                         .elements = three}}});
  };

  EXPECT_OK(write("dense/kernel", 12));
  EXPECT_THAT(write("dense/kernel", 13),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("which has 15")));
  EXPECT_THAT(write("dense/kernel", -1),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("dense/kernel")));
  EXPECT_THAT(write("dense/bias", 0),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no tensor")));
}

TEST(PublishCheckpoint, RefusesHolesAndOverlaps) {
  TempDir dir;
  FileSystem& fs = PosixFileSystem();
  ASSERT_OK_AND_ASSIGN(PublishRequest request,
                       WriteUnpublished(fs, dir.path(), 5, SmallState(5), 3));
  const RangeDigest last = request.ranges.back();

  request.ranges.pop_back();
  EXPECT_THAT(PublishCheckpoint(fs, request),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("ranges before end at")));
  request.ranges.push_back(last);
  request.ranges.push_back(last);
  EXPECT_THAT(PublishCheckpoint(fs, request),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("rank")));
  request.ranges.pop_back();
  EXPECT_OK(PublishCheckpoint(fs, request));
}

TEST(PublishCheckpoint, ReadsBackWhatOwnersClaimToHaveWritten) {
  TempDir dir;
  FileSystem& fs = PosixFileSystem();
  ASSERT_OK_AND_ASSIGN(const PublishRequest request,
                       WriteUnpublished(fs, dir.path(), 5, SmallState(5), 2));
  ASSERT_OK_AND_ASSIGN(
      const std::unique_ptr<File> file,
      fs.Open(JoinPath(request.directory, "values.safetensors"), OpenMode::kUpdate));
  ASSERT_OK(file->Write(SmallLayout().file(CheckpointFile::kValues).size_bytes() - 1, "!"));

  EXPECT_THAT(PublishCheckpoint(fs, request),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("checksum")));
  EXPECT_THAT(FindCheckpoints(fs, dir.path()).value(), IsEmpty());
}

TEST(PublishCheckpoint, RefusesAVariableThatIsNotFiniteButNotSuchState) {
  TempDir dir;
  FileSystem& fs = PosixFileSystem();
  SmallState state(5);
  state.values("adam/v/dense/kernel")[3] = std::numeric_limits<float>::infinity();
  ASSERT_OK_AND_ASSIGN(const PublishRequest good, WriteUnpublished(fs, dir.path(), 5, state, 2));
  state.values("dense/kernel")[3] = std::numeric_limits<float>::quiet_NaN();
  ASSERT_OK_AND_ASSIGN(const PublishRequest bad, WriteUnpublished(fs, dir.path(), 6, state, 2));

  EXPECT_OK(PublishCheckpoint(fs, good));
  EXPECT_THAT(
      PublishCheckpoint(fs, bad),
      StatusIs(absl::StatusCode::kDataLoss, HasSubstr("'dense/kernel' holds nan at element 3")));
}

TEST(PublishCheckpoint, LetsOneOfTwoWritersOfAStepWin) {
  TempDir dir;
  FileSystem& fs = PosixFileSystem();
  ASSERT_OK_AND_ASSIGN(const PublishRequest first,
                       WriteUnpublished(fs, dir.path(), 5, SmallState(5), 2));
  ASSERT_OK_AND_ASSIGN(const PublishRequest second,
                       WriteUnpublished(fs, dir.path(), 5, SmallState(5), 3));

  EXPECT_OK(PublishCheckpoint(fs, second));
  EXPECT_THAT(PublishCheckpoint(fs, first),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("step-5")));
  EXPECT_OK(DiscardCheckpoint(fs, first.directory));
  EXPECT_THAT(Names(dir.path()), ElementsAre("step-5"));
  EXPECT_OK(Load(fs, dir.path()));
}

TEST(PublishCheckpoint, ReplacesADamagedCheckpointOfTheStep) {
  TempDir dir;
  FileSystem& fs = PosixFileSystem();
  ASSERT_OK(WriteCheckpoint(fs, dir.path(), 5));
  ASSERT_OK(fs.RemoveFile(dir.File("step-5/optimizer.safetensors")));
  EXPECT_FALSE(Load(fs, dir.path()).ok());

  EXPECT_OK(WriteCheckpoint(fs, dir.path(), 5));
  EXPECT_OK(Load(fs, dir.path()));
  EXPECT_THAT(Names(dir.path()), ElementsAre("step-5"));
}

TEST(FindCheckpoints, ListsFinishedOnesNewestFirst) {
  TempDir dir;
  FileSystem& fs = PosixFileSystem();
  for (const char* name :
       {"step-9", "step-10", "step-007", "step-", "step-x", "step--1", "step-8.tmp-abc", "other"}) {
    ASSERT_OK(fs.MakeDirectory(dir.File(name)));
  }
  ASSERT_OK(ReplaceFileSynced(fs, dir.File("step-11"), "a file"));

  ASSERT_OK_AND_ASSIGN(const std::vector<CheckpointName> found, FindCheckpoints(fs, dir.path()));

  ASSERT_EQ(found.size(), 2);
  EXPECT_EQ(found[0].step, 10);
  EXPECT_EQ(found[1].path, dir.File("step-9"));
  EXPECT_THAT(FindCheckpoints(fs, dir.File("none")).value(), IsEmpty());
}

TEST(FindCheckpoints, ReportsADirectoryItMayNotRead) {
  TempDir dir;
  FaultyFileSystem fs;
  fs.RefuseReading(dir.path(), absl::PermissionDeniedError("listing 'c': permission denied"));

  EXPECT_THAT(FindCheckpoints(fs, dir.path()),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("listing")));
  EXPECT_THAT(Load(fs, dir.path()),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("listing")));
}

TEST(PruneCheckpoints, KeepsTheNewestAndTheLastVerifiedOne) {
  TempDir dir;
  FileSystem& fs = PosixFileSystem();
  for (int step = 1; step <= 5; ++step) ASSERT_OK(WriteCheckpoint(fs, dir.path(), step));

  ASSERT_OK(PruneCheckpoints(fs, dir.path(), 2, 2));
  EXPECT_THAT(Names(dir.path()), ElementsAre("step-2", "step-4", "step-5"));
  ASSERT_OK(PruneCheckpoints(fs, dir.path(), 2, 5));
  EXPECT_THAT(Names(dir.path()), ElementsAre("step-4", "step-5"));
  ASSERT_OK(PruneCheckpoints(fs, dir.path(), 3, 5));
  EXPECT_THAT(Names(dir.path()), ElementsAre("step-4", "step-5"));
}

TEST(RemoveUnfinishedCheckpoints, LeavesEverythingElseAlone) {
  TempDir dir;
  FileSystem& fs = PosixFileSystem();
  ASSERT_OK(WriteCheckpoint(fs, dir.path(), 5));
  ASSERT_OK(WriteUnpublished(fs, dir.path(), 6, SmallState(6), 2));
  ASSERT_OK(fs.MakeDirectory(dir.File("notes.tmp-1")));

  ASSERT_OK(RemoveUnfinishedCheckpoints(fs, dir.path()));

  EXPECT_THAT(Names(dir.path()), ElementsAre("notes.tmp-1", "step-5"));
  EXPECT_OK(RemoveUnfinishedCheckpoints(fs, dir.File("none")));
}

}  // namespace
}  // namespace lockstep
