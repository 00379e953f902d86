// The communicator's suite over MPI: ranks on one host, each on a host of its own, and two a host.
#include <cstdio>

#include "gmock/gmock.h"

#include "tests/support/communicator_suite.h"
#include "tests/support/status_matchers.h"
#include "worker/comm/mpi/mpi_session.h"

namespace lockstep {
namespace {

using ::lockstep::testing::CommunicatorSuite;

MpiSession* session = nullptr;  // NOLINT: gtest gives its tests no argument

class MpiCommunicator : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(RanksPerHost, MpiCommunicator, ::testing::Values(0, 1, 2));

TEST_P(MpiCommunicator, KeepsTheCommunicatorsPromises) {
  for (const int32_t shards : {8, 64}) {
    ASSERT_OK_AND_ASSIGN(std::unique_ptr<Transport> transport, session->MakeTransport(GetParam()));
    ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Communicator> communicator,
                         Communicator::Create(std::move(transport), shards, Spin::kNone));
    communicator->set_patience(absl::Seconds(30));

    EXPECT_OK(CommunicatorSuite(*communicator, shards, 4096 * 5 + 100, /*threads=*/1).Run());
  }
}

}  // namespace
}  // namespace lockstep

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  auto started = lockstep::MpiSession::Start();
  if (!started.ok()) {
    std::fprintf(stderr, "%s\n", started.status().ToString().c_str());
    return 1;
  }
  lockstep::session = started->get();
  const int failed = RUN_ALL_TESTS();
  // A rank that failed is no longer in step with the others.
  if (failed != 0) lockstep::session->Abandon();
  return failed;
}
