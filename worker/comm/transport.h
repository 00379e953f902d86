// Transport: what a group of ranks needs from the world: memory that ranks of one host share, and
// messages between hosts. Two implementations: threads of one process (local_group.h) and MPI
// (mpi/mpi_transport.h). The algorithms are in communicator.h and exist once.
// Thread: the trainer's. Errors: UNAVAILABLE for a peer that is gone, DEADLINE_EXCEEDED,
// RESOURCE_EXHAUSTED. After any error the group is broken: every later call fails.
#ifndef LOCKSTEP_WORKER_COMM_TRANSPORT_H_
#define LOCKSTEP_WORKER_COMM_TRANSPORT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace lockstep {

// One allocation of every rank of this host; addresses are this process's.
class SharedMemory {
 public:
  virtual ~SharedMemory() = default;
  // By place in Transport::host_ranks(); the memory of this rank among them.
  const std::vector<std::byte*>& addresses() const { return addresses_; }

 protected:
  std::vector<std::byte*> addresses_;
};

class Transport {
 public:
  virtual ~Transport() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  // The ranks of this host in ascending order, this one among them.
  virtual const std::vector<int>& host_ranks() const = 0;

  // All ranks of the host call it, each with a size of its own. Zero at first, 64-byte aligned.
  virtual absl::StatusOr<std::unique_ptr<SharedMemory>> AllocateShared(int64_t bytes) = 0;

  // Messages to ranks of other hosts; between two ranks they arrive in the order of their starts.
  // The memory must stay until Finish has returned.
  virtual absl::Status StartSend(int rank, absl::Span<const std::byte> bytes) = 0;
  virtual absl::Status StartReceive(int rank, absl::Span<std::byte> bytes) = 0;
  // Until everything that was started is done.
  virtual absl::Status Finish(absl::Duration patience) = 0;
};

}  // namespace lockstep

#endif  // LOCKSTEP_WORKER_COMM_TRANSPORT_H_
