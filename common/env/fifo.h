// FifoReader: the reading end of a named pipe that writers may open, close and die on at any time.
// Thread: one. Errors: ALREADY_EXISTS, INTERNAL with errno's text. Invariant: never blocks; holds a
// writing end itself, so that the last writer's end is no end of file.
#ifndef LOCKSTEP_COMMON_ENV_FIFO_H_
#define LOCKSTEP_COMMON_ENV_FIFO_H_

#include <string>

#include "absl/status/statusor.h"

#include "common/env/unique_fd.h"

namespace lockstep {

class FifoReader {
 public:
  // Makes the pipe (mode 0600), with room for 1 MiB where the system allows.
  static absl::StatusOr<FifoReader> Create(const std::string& path);

  // The bytes that are there now, at most 1 MiB; empty if none.
  std::string ReadAvailable();

 private:
  explicit FifoReader(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
};

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_ENV_FIFO_H_
