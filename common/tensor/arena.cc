#include "common/tensor/arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace lockstep {
namespace {

constexpr int64_t kHugePageBytes = int64_t{2} << 20;

}  // namespace

absl::StatusOr<std::unique_ptr<Arena>> Arena::Create(int64_t bytes) {
  const int64_t mapped =
      std::max((bytes + kHugePageBytes - 1) / kHugePageBytes, int64_t{1}) * kHugePageBytes;
  void* const data = mmap(nullptr, static_cast<size_t>(mapped), PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) {
    return absl::ResourceExhaustedError(absl::StrCat("memory: cannot map ", mapped,
                                                     " bytes: ", std::strerror(errno),
                                                     "; use a smaller batch or more workers"));
  }
  // Advice only: without huge pages the arena works, slower.
  madvise(data, static_cast<size_t>(mapped), MADV_HUGEPAGE);
  return std::unique_ptr<Arena>(new Arena(static_cast<std::byte*>(data), mapped));
}

Arena::~Arena() { munmap(data_, static_cast<size_t>(bytes_)); }

}  // namespace lockstep
