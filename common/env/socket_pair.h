// MakeSocketPair: two connected stream sockets, close-on-exec; the end of one side is the end of
// file of the other. Thread: any. Errors: errno's.
#ifndef LOCKSTEP_COMMON_ENV_SOCKET_PAIR_H_
#define LOCKSTEP_COMMON_ENV_SOCKET_PAIR_H_

#include "absl/status/statusor.h"

#include "common/env/unique_fd.h"

namespace lockstep {

struct SocketPair {
  UniqueFd first, second;
};
absl::StatusOr<SocketPair> MakeSocketPair();

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_ENV_SOCKET_PAIR_H_
