#include "coordinator/launch/attempt_record.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"

#include "common/env/file_system.h"
#include "tests/support/status_matchers.h"

namespace lockstep {
namespace {

using ::lockstep::testing::StatusIs;
using ::testing::_;
using ::testing::HasSubstr;

class AttemptRecordTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = absl::StrCat(::testing::TempDir(), "recordXXXXXX");
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    dir_ = name;
  }
  void TearDown() override { ASSERT_OK(PosixFileSystem().RemoveTree(dir_)); }

  AttemptRecord MakeRecord() {
    return {.attempt = 2,
            .token = "ab12",
            .boot_id = BootId(),
            .helper = {},
            .directories = {absl::StrCat(dir_, "/", AttemptDirectoryName("ab12", 2))}};
  }

  std::string dir_;
};

TEST_F(AttemptRecordTest, ReadsWhatWasWritten) {
  AttemptRecord record = MakeRecord();
  record.helper = {.pid = 7, .start_ticks = uint64_t{1} << 60};
  ASSERT_OK(WriteAttemptRecord(dir_, record));
  EXPECT_EQ(ReadAttemptRecord(dir_).value(), record);
}

TEST_F(AttemptRecordTest, SweepsItsDirectoriesAndItself) {
  const AttemptRecord record = MakeRecord();
  ASSERT_OK(WriteAttemptRecord(dir_, record));
  ASSERT_OK(PosixFileSystem().MakeDirectories(record.directories[0]));
  ASSERT_OK(ReplaceFileSynced(PosixFileSystem(), record.directories[0] + "/segment", "x"));

  ASSERT_OK(SweepAttempt(dir_, record));

  EXPECT_FALSE(std::filesystem::exists(record.directories[0]));
  EXPECT_THAT(ReadAttemptRecord(dir_), StatusIs(absl::StatusCode::kNotFound, _));
}

// The note may be a year old and its pid ours by now: this test would kill itself if the start time
// were not compared.
TEST_F(AttemptRecordTest, SparesAStrangerWithAReusedPid) {
  AttemptRecord record = MakeRecord();
  record.helper = {.pid = getsid(0), .start_ticks = 1};
  ASSERT_OK(SweepAttempt(dir_, record));
}

TEST_F(AttemptRecordTest, RefusesToRemoveWhatIsNotItsOwn) {
  for (const std::string& directory :
       {std::string("/home"), absl::StrCat(dir_, "/lockstep-ab12-3"),
        std::string("lockstep-ab12-2"), absl::StrCat(dir_, "/lockstep-ab12-2/..")}) {
    AttemptRecord record = MakeRecord();
    record.directories = {directory};
    ASSERT_OK(WriteAttemptRecord(dir_, record));
    EXPECT_THAT(ReadAttemptRecord(dir_),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr(directory)));
  }
  AttemptRecord record = MakeRecord();
  record.token = "../x";
  record.directories = {};
  ASSERT_OK(WriteAttemptRecord(dir_, record));
  EXPECT_THAT(ReadAttemptRecord(dir_), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("token")));
}

TEST_F(AttemptRecordTest, CallsATornNoteDataLoss) {
  ASSERT_OK(
      ReplaceFileSynced(PosixFileSystem(), absl::StrCat(dir_, "/attempt.json"), "{\"attempt\":1"));
  EXPECT_THAT(ReadAttemptRecord(dir_),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("attempt.json")));
}

TEST_F(AttemptRecordTest, TakesNoOutcomeOfAnotherAttempt) {
  ASSERT_OK(WriteOutcome(dir_, MakeRecord(), {.code = 65}));
  EXPECT_EQ(ReadOutcome(dir_, 2, "ab12").value(), (ProcessExit{.code = 65}));
  EXPECT_THAT(ReadOutcome(dir_, 3, "ab12"), StatusIs(absl::StatusCode::kNotFound, _));
  EXPECT_THAT(ReadOutcome(dir_, 2, "ab13"), StatusIs(absl::StatusCode::kNotFound, _));
}

TEST(RunToken, IsNewAtEveryCall) { EXPECT_NE(MakeRunToken(), MakeRunToken()); }

}  // namespace
}  // namespace lockstep
