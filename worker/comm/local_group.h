// LocalGroup: n ranks as threads of this process, with the same communicator as under MPI; for
// tests, and the only form that TSan sees. `hosts` > 1 splits them so that only messages go between
// the parts. Thread: Run by one at a time. Errors: each rank's own; when one fails, the others see
// UNAVAILABLE.
#ifndef LOCKSTEP_WORKER_COMM_LOCAL_GROUP_H_
#define LOCKSTEP_WORKER_COMM_LOCAL_GROUP_H_

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"

#include "worker/comm/communicator.h"

namespace lockstep {

struct LocalGroupOptions {
  int ranks = 1;
  int32_t shards = 1;
  int hosts = 1;  // rank r is on host r * hosts / ranks
  Spin spin = Spin::kNone;
  absl::Duration patience = absl::Seconds(30);
};

// Runs `body` once per rank, each on a thread of its own; returns their statuses by rank.
std::vector<absl::Status> RunLocalGroup(const LocalGroupOptions& options,
                                        absl::FunctionRef<absl::Status(Communicator&)> body);

// The first status that is not OK and explains the others: UNAVAILABLE only if all are.
absl::Status FirstFailure(const std::vector<absl::Status>& statuses);

}  // namespace lockstep

#endif  // LOCKSTEP_WORKER_COMM_LOCAL_GROUP_H_
