#include "worker/comm/local_group.h"

#include "gmock/gmock.h"

#include "tests/support/communicator_suite.h"
#include "tests/support/status_matchers.h"

namespace lockstep {
namespace {

using ::lockstep::testing::CommunicatorSuite;
using ::lockstep::testing::StatusIs;
using ::testing::HasSubstr;

struct Case {
  int ranks;
  int32_t shards;
  int hosts;
  int threads = 1;
};
void PrintTo(const Case& c, std::ostream* out) {
  *out << c.ranks << " ranks on " << c.hosts << " hosts, " << c.shards << " shards, " << c.threads
       << " threads";
}

class LocalGroup : public ::testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(AnySplit, LocalGroup,
                         ::testing::Values(Case{1, 1, 1}, Case{1, 8, 1}, Case{2, 8, 1},
                                           Case{3, 8, 1}, Case{4, 8, 1}, Case{5, 8, 1},
                                           Case{7, 64, 1}, Case{8, 8, 1}, Case{2, 8, 2},
                                           Case{3, 8, 2}, Case{5, 16, 5}, Case{6, 8, 3},
                                           Case{3, 8, 1, 3}, Case{4, 4, 2, 2}));

// The exemplar: the same suite runs under mpirun (tests/mpi/communicator_mpi_test.cc).
TEST_P(LocalGroup, KeepsTheCommunicatorsPromises) {
  const Case c = GetParam();

  const std::vector<absl::Status> statuses = RunLocalGroup(
      {.ranks = c.ranks, .shards = c.shards, .hosts = c.hosts}, [&](Communicator& communicator) {
        return CommunicatorSuite(communicator, c.shards, 4096 * 3 + 100, c.threads).Run();
      });

  EXPECT_OK(FirstFailure(statuses));
}

TEST(LocalGroup, LetsTheOthersFailWhenOneFails) {
  for (const int hosts : {1, 2}) {
    const std::vector<absl::Status> statuses = RunLocalGroup(
        {.ranks = 3, .shards = 4, .hosts = hosts}, [](Communicator& communicator) -> absl::Status {
          LOCKSTEP_RETURN_IF_ERROR(communicator.Barrier());
          if (communicator.rank() == 1) return absl::DataLossError("bad sample");
          return communicator.Barrier();
        });

    EXPECT_THAT(statuses[0], StatusIs(absl::StatusCode::kUnavailable, HasSubstr("failed")));
    EXPECT_THAT(statuses[2], StatusIs(absl::StatusCode::kUnavailable, HasSubstr("failed")));
    EXPECT_THAT(FirstFailure(statuses), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("bad")));
  }
}

TEST(LocalGroup, GivesUpOnARankThatDoesNotCome) {
  for (const int hosts : {1, 2}) {
    const std::vector<absl::Status> statuses = RunLocalGroup(
        {.ranks = 2, .shards = 2, .hosts = hosts, .patience = absl::Milliseconds(150)},
        [](Communicator& communicator) -> absl::Status {
          if (communicator.rank() == 1) return absl::OkStatus();
          return communicator.Barrier();
        });

    EXPECT_THAT(statuses[0], StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("rank")));
  }
}

}  // namespace
}  // namespace lockstep
