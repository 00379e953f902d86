// MpiSession: MPI from its start to its end, in this process; at most one. Thread: the trainer's,
// the only one that calls MPI. Errors: INTERNAL with MPI's text.
#ifndef LOCKSTEP_WORKER_COMM_MPI_MPI_SESSION_H_
#define LOCKSTEP_WORKER_COMM_MPI_MPI_SESSION_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"

#include "worker/comm/transport.h"

namespace lockstep {

class MpiSession {
 public:
  static absl::StatusOr<std::unique_ptr<MpiSession>> Start();
  // MPI_Finalize, which waits for all ranks; not after Abandon.
  ~MpiSession();
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;

  int rank() const;
  int size() const;

  // Of all ranks; all of them call it. Outlived by the session. `ranks_per_host`: for tests, cuts a
  // host into several, between which only messages go; 0: as it is.
  absl::StatusOr<std::unique_ptr<Transport>> MakeTransport(int ranks_per_host = 0);

  // This process is about to end without the others: no more MPI, the launcher ends the rest.
  void Abandon();

 private:
  MpiSession() = default;
};

}  // namespace lockstep

#endif  // LOCKSTEP_WORKER_COMM_MPI_MPI_SESSION_H_
