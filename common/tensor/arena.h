// Arena: all memory of a job's steps in one mapping, on huge pages where the kernel grants them;
// zero at first, 64-byte aligned. Sized once by the plan: a step allocates nothing. Thread: none of
// its own.
#ifndef LOCKSTEP_COMMON_TENSOR_ARENA_H_
#define LOCKSTEP_COMMON_TENSOR_ARENA_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"

namespace lockstep {

class Arena {
 public:
  // RESOURCE_EXHAUSTED where the system has not that much memory to give.
  static absl::StatusOr<std::unique_ptr<Arena>> Create(int64_t bytes);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  std::byte* data() const { return data_; }
  int64_t bytes() const { return bytes_; }

 private:
  Arena(std::byte* data, int64_t bytes) : data_(data), bytes_(bytes) {}
  std::byte* data_;
  int64_t bytes_;
};

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_TENSOR_ARENA_H_
