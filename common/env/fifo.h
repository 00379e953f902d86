// FifoReader: the reading end of a named pipe that writers may open, close and die on at any time.
// Thread: one. Errors: ALREADY_EXISTS, INTERNAL with errno's text. Invariant: never blocks; holds a
// writing end itself, so that the last writer's end is no end of file.
#ifndef LOCKSTEP_COMMON_ENV_FIFO_H_
#define LOCKSTEP_COMMON_ENV_FIFO_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

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

// FifoWriter: the writing end; never blocks and never fails: a line that finds no room, or nobody
// to read it, is dropped. Thread: one. The process must ignore SIGPIPE.
class FifoWriter {
 public:
  // Of the pipe at `path`; without a reader, or a pipe, every line is dropped.
  explicit FifoWriter(const std::string& path);

  // `line` ends in a newline; at most PIPE_BUF bytes arrive whole, longer ones are dropped.
  void Write(absl::string_view line);

 private:
  UniqueFd fd_;
};

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_ENV_FIFO_H_
