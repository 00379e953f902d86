#include "common/base/exit_codes.h"

#include <set>
#include <string>

#include "gmock/gmock.h"

namespace lockstep {
namespace {

TEST(ExitCodes, AreDistinctAndLeaveRoomForSignals) {
  std::set<int> codes;
  std::set<std::string> names;
  for (const ExitCodeInfo& info : kExitCodes) {
    EXPECT_TRUE(codes.insert(static_cast<int>(info.code)).second) << info.name;
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    EXPECT_GE(static_cast<int>(info.code), 0);
    EXPECT_LT(static_cast<int>(info.code), 126) << "126 and above belong to shells and signals";
    EXPECT_NE(static_cast<int>(info.code), 1) << "mpirun's own failure";
  }
}

TEST(ExitCodes, FindsItsOwnAndNoOther) {
  EXPECT_STREQ(FindExitCode(65)->name, "USER_ERROR");
  EXPECT_EQ(FindExitCode(1), nullptr);
  EXPECT_EQ(FindExitCode(137), nullptr);
}

TEST(ExitCodes, RetriesWhatAnotherAttemptMayMend) {
  const auto retry = [](const absl::Status& status) {
    return FindExitCode(static_cast<int>(ExitCodeFor(status)))->retry;
  };
  EXPECT_EQ(retry(absl::OkStatus()), RetryClass::kDone);
  EXPECT_EQ(retry(absl::UnavailableError("peer")), RetryClass::kRetry);
  EXPECT_EQ(retry(absl::InternalError("bug")), RetryClass::kRetry);
  EXPECT_EQ(retry(absl::InvalidArgumentError("job")), RetryClass::kNever);
  EXPECT_EQ(retry(absl::DataLossError("file")), RetryClass::kNever);
  EXPECT_EQ(retry(absl::ResourceExhaustedError("memory")), RetryClass::kNever);
}

}  // namespace
}  // namespace lockstep
