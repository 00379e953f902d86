// AgreeOn: after a part of the work that can fail on any rank alone, all ranks go on or none does.
// Thread: the trainer's. Errors: the first failing rank's status, on every rank alike; the
// communicator's.
#ifndef LOCKSTEP_WORKER_COMM_AGREEMENT_H_
#define LOCKSTEP_WORKER_COMM_AGREEMENT_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "worker/comm/communicator.h"

namespace lockstep {

absl::Status AgreeOn(Communicator& communicator, const absl::Status& mine);

// Rank 0's text on every rank; of any length.
absl::StatusOr<std::string> BroadcastText(Communicator& communicator, std::string text);

}  // namespace lockstep

#endif  // LOCKSTEP_WORKER_COMM_AGREEMENT_H_
