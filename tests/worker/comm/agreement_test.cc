#include "worker/comm/agreement.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"

#include "tests/support/status_matchers.h"
#include "worker/comm/local_group.h"

namespace lockstep {
namespace {

using ::lockstep::testing::IsOk;
using ::lockstep::testing::StatusIs;
using ::testing::Each;

// What each rank hears when rank r says statuses[r].
std::vector<absl::Status> Agree(const std::vector<absl::Status>& statuses, int hosts = 1) {
  const int ranks = static_cast<int>(statuses.size());
  std::vector<absl::Status> agreed(statuses.size());
  // The body is fine: a failed one would end the others in the middle of their exchange.
  const std::vector<absl::Status> ends =
      RunLocalGroup({.ranks = ranks, .shards = 8, .hosts = hosts}, [&](Communicator& communicator) {
        const auto rank = static_cast<size_t>(communicator.rank());
        agreed[rank] = AgreeOn(communicator, statuses[rank]);
        return absl::OkStatus();
      });
  EXPECT_THAT(ends, Each(IsOk()));
  return agreed;
}

TEST(AgreeOn, IsOkWhereAllRanksAre) {
  EXPECT_THAT(Agree({absl::OkStatus(), absl::OkStatus(), absl::OkStatus()}), Each(IsOk()));
  EXPECT_THAT(Agree({absl::OkStatus()}), Each(IsOk()));
}

TEST(AgreeOn, GivesAllRanksTheWordsOfTheFirstThatFailed) {
  const std::vector<absl::Status> statuses = {absl::OkStatus(), absl::DataLossError("torn"),
                                              absl::OkStatus(), absl::InternalError("later")};
  for (const int hosts : {1, 2}) {
    EXPECT_THAT(Agree(statuses, hosts),
                Each(StatusIs(absl::StatusCode::kDataLoss, "rank 1: torn")));
  }
}

// What rank 0 says it says for all: a file that nobody can read has no rank.
TEST(AgreeOn, NamesNoRankForRankZero) {
  EXPECT_THAT(Agree({absl::NotFoundError("no file"), absl::NotFoundError("no file")}),
              Each(StatusIs(absl::StatusCode::kNotFound, "no file")));
}

TEST(AgreeOn, CutsAMessageThatIsTooLongForTheWire) {
  const std::string longest(1019, 'x');

  EXPECT_THAT(Agree({absl::OkStatus(), absl::InternalError(longest)}),
              Each(StatusIs(absl::StatusCode::kInternal, absl::StrCat("rank 1: ", longest))));
  EXPECT_THAT(Agree({absl::OkStatus(), absl::InternalError(longest + "yz")}),
              Each(StatusIs(absl::StatusCode::kInternal, absl::StrCat("rank 1: ", longest))));
}

TEST(BroadcastText, GivesRankZerosTextOfAnyLengthToAll) {
  for (const size_t length : {size_t{0}, size_t{1}, size_t{3}, size_t{4096}, size_t{3'000'000}}) {
    const std::string text(length, 't');
    const std::vector<absl::Status> statuses = RunLocalGroup(
        {.ranks = 3, .shards = 8, .hosts = 2}, [&](Communicator& communicator) -> absl::Status {
          const std::string own = communicator.rank() == 0 ? text : "of nobody's interest";
          const absl::StatusOr<std::string> heard = BroadcastText(communicator, own);
          if (!heard.ok()) return heard.status();
          return *heard == text ? absl::OkStatus() : absl::InternalError("another text");
        });
    EXPECT_THAT(statuses, Each(IsOk())) << length << " bytes";
  }
}

}  // namespace
}  // namespace lockstep
