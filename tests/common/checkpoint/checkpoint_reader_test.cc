#include "common/checkpoint/checkpoint_reader.h"

#include "tests/common/checkpoint/checkpoint_testing.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace lockstep {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAreArray;
using testing::FaultyFileSystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::Load;
using testing::SmallExpectations;
using testing::SmallState;
using testing::StatusIs;
using testing::TempDir;
using testing::WriteCheckpoint;

constexpr int64_t kBytesMax = 1 << 20;
constexpr const char* kFileNames[] = {"MANIFEST", "values.safetensors", "optimizer.safetensors"};

// Overwrites a file in place, as a broken disk would.
void Overwrite(const std::string& path, const std::string& bytes) {
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<File> file,
                       PosixFileSystem().Open(path, OpenMode::kTruncate));
  ASSERT_OK(file->Write(0, bytes));
  ASSERT_OK(file->Close());
}

// The newest checkpoint is rejected for the reason given, and the one before is loaded.
void ExpectFallsBack(const std::string& root, absl::StatusCode code) {
  ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint loaded, Load(PosixFileSystem(), root));
  EXPECT_EQ(loaded.checkpoint.manifest.info.step, 5);
  ASSERT_EQ(loaded.rejected.size(), 1);
  EXPECT_THAT(loaded.rejected[0].reason, StatusIs(code, HasSubstr("step-6")));
}

class DamagedCheckpoint : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    ASSERT_OK(WriteCheckpoint(PosixFileSystem(), dir_.path(), 5));
    ASSERT_OK(WriteCheckpoint(PosixFileSystem(), dir_.path(), 6));
    path_ = JoinPath(dir_.File("step-6"), GetParam());
    bytes_ = ReadFile(PosixFileSystem(), path_, kBytesMax).value();
  }

  TempDir dir_;
  std::string path_, bytes_;
};

TEST_P(DamagedCheckpoint, IsPassedOverWhenAFileIsCutShort) {
  for (const size_t size : {size_t{0}, bytes_.size() / 2, bytes_.size() - 1}) {
    SCOPED_TRACE(size);
    Overwrite(path_, bytes_.substr(0, size));
    ExpectFallsBack(dir_.path(), absl::StatusCode::kDataLoss);
  }
  Overwrite(path_, bytes_);
  EXPECT_THAT(Load(PosixFileSystem(), dir_.path())->rejected, IsEmpty());
}

TEST_P(DamagedCheckpoint, IsPassedOverWhenAFileHasGrown) {
  Overwrite(path_, bytes_ + " ");
  ExpectFallsBack(dir_.path(), absl::StatusCode::kDataLoss);
}

TEST_P(DamagedCheckpoint, IsPassedOverForEveryFlippedBit) {
  for (size_t i = 0; i < bytes_.size(); ++i) {
    SCOPED_TRACE(i);
    std::string flipped = bytes_;
    flipped[i] = static_cast<char>(flipped[i] ^ (1 << (i % 8)));
    Overwrite(path_, flipped);
    ExpectFallsBack(dir_.path(), absl::StatusCode::kDataLoss);
    if (HasFailure()) return;
  }
}

TEST_P(DamagedCheckpoint, IsPassedOverWhenAFileIsMissing) {
  ASSERT_OK(PosixFileSystem().RemoveFile(path_));
  ExpectFallsBack(dir_.path(), absl::StatusCode::kNotFound);
}

TEST_P(DamagedCheckpoint, IsPassedOverWhenAFileIsADirectory) {
  ASSERT_OK(PosixFileSystem().RemoveFile(path_));
  ASSERT_OK(PosixFileSystem().MakeDirectory(path_));
  ExpectFallsBack(dir_.path(), absl::StatusCode::kDataLoss);
}

TEST_P(DamagedCheckpoint, DoesNotMatterWhenANewerOneIsSound) {
  Overwrite(path_, "");
  ASSERT_OK(WriteCheckpoint(PosixFileSystem(), dir_.path(), 7));
  EXPECT_THAT(Load(PosixFileSystem(), dir_.path())->rejected, IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(EachFile, DamagedCheckpoint, ::testing::ValuesIn(kFileNames));

TEST(LoadCheckpoint, GivesBackEveryBitAndTheState) {
  TempDir dir;
  FileSystem& fs = PosixFileSystem();
  ASSERT_OK(WriteCheckpoint(fs, dir.path(), 5));

  ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint loaded, Load(fs, dir.path()));

  SmallState state(5);
  for (const TensorFile* file : {&loaded.checkpoint.values, &loaded.checkpoint.optimizer}) {
    for (const TensorView& tensor : file->tensors) {
      EXPECT_THAT(tensor.values, ElementsAreArray(state.values(tensor.name))) << tensor.name;
    }
  }
  EXPECT_EQ(loaded.checkpoint.values.tensors.size(), 4);
  EXPECT_EQ(loaded.checkpoint.optimizer.tensors.size(), 2);
  EXPECT_EQ(loaded.checkpoint.manifest.info.program, testing::InfoAt(5).program);
}

TEST(LoadCheckpoint, TellsNoneFromNoneThatIsSound) {
  TempDir dir;
  FileSystem& fs = PosixFileSystem();

  EXPECT_THAT(Load(fs, dir.path()),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no checkpoint")));
  EXPECT_THAT(Load(fs, dir.File("none")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no checkpoint")));
  for (const int step : {5, 6}) {
    ASSERT_OK(WriteCheckpoint(fs, dir.path(), step));
    Overwrite(dir.File(absl::StrCat("step-", step, "/MANIFEST")), "");
  }
  EXPECT_THAT(Load(fs, dir.path()),
              StatusIs(absl::StatusCode::kDataLoss,
                       AllOf(HasSubstr("step-6'"), HasSubstr("step-5'"), HasSubstr("MANIFEST"))));
}

TEST(LoadCheckpoint, PassesOverAnUnreadableOne) {
  TempDir dir;
  FaultyFileSystem fs;
  ASSERT_OK(WriteCheckpoint(fs, dir.path(), 5));
  ASSERT_OK(WriteCheckpoint(fs, dir.path(), 6));
  fs.RefuseReading(dir.File("step-6/values.safetensors"),
                   absl::PermissionDeniedError("opening 'x': permission denied"));

  ASSERT_OK_AND_ASSIGN(const LoadedCheckpoint loaded, Load(fs, dir.path()));

  EXPECT_EQ(loaded.checkpoint.manifest.info.step, 5);
  EXPECT_THAT(loaded.rejected.at(0).reason,
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("step-6")));
}

TEST(LoadCheckpoint, PassesOverOneUnderAWrongName) {
  TempDir dir;
  FileSystem& fs = PosixFileSystem();
  ASSERT_OK(WriteCheckpoint(fs, dir.path(), 6));
  ASSERT_OK(fs.Rename(dir.File("step-6"), dir.File("step-7")));

  EXPECT_THAT(Load(fs, dir.path()),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("MANIFEST is of step 6")));
}

TEST(LoadCheckpoint, RefusesAnotherNumericsVersion) {
  TempDir dir;
  ASSERT_OK(WriteCheckpoint(PosixFileSystem(), dir.path(), 5));
  CheckpointExpectations expected = SmallExpectations();

  EXPECT_OK(LoadCheckpoint(PosixFileSystem(), dir.path(), expected));
  expected.numerics_version += 1;
  EXPECT_THAT(
      LoadCheckpoint(PosixFileSystem(), dir.path(), expected),
      StatusIs(absl::StatusCode::kFailedPrecondition,
               AllOf(HasSubstr("numerics_version 7, this build has 8"), HasSubstr("other bits"))));
}

TEST(LoadCheckpoint, RefusesAnotherJobAndNamesWhatDiffers) {
  TempDir dir;
  ASSERT_OK(WriteCheckpoint(PosixFileSystem(), dir.path(), 5));
  CheckpointExpectations expected = SmallExpectations();
  expected.job_identity = R"({"data":"a","seed":2})";

  EXPECT_THAT(
      LoadCheckpoint(PosixFileSystem(), dir.path(), expected),
      StatusIs(absl::StatusCode::kFailedPrecondition,
               AllOf(HasSubstr("another job: 'seed' differ"), ::testing::Not(HasSubstr("data")))));
}

TEST(LoadCheckpoint, RefusesOtherTensors) {
  TempDir dir;
  ASSERT_OK(WriteCheckpoint(PosixFileSystem(), dir.path(), 5));
  std::vector<TensorSpec> variables =
      testing::SmallLayout().file(CheckpointFile::kValues).tensors();
  std::vector<TensorSpec> state = testing::SmallLayout().file(CheckpointFile::kOptimizer).tensors();
  const auto load = [&] {
    const CheckpointLayout layout = CheckpointLayout::Create(variables, state).value();
    CheckpointExpectations expected = SmallExpectations();
    expected.layout = &layout;
    return LoadCheckpoint(PosixFileSystem(), dir.path(), expected).status();
  };

  EXPECT_OK(load());
  state.pop_back();
  EXPECT_THAT(load(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("2 tensors of the state")));
  variables[1].shape = {3};
  EXPECT_THAT(load(), StatusIs(absl::StatusCode::kFailedPrecondition,
                               HasSubstr("'conv2d/bias' (2,) where")));
}

}  // namespace
}  // namespace lockstep
