// LOCKSTEP_CHECK: an invariant of ours; always on, prints file, line and condition, then aborts.
// LOCKSTEP_DCHECK: the same in builds without NDEBUG. User input never reaches either: it returns
// absl::Status.
#ifndef LOCKSTEP_COMMON_BASE_CHECK_H_
#define LOCKSTEP_COMMON_BASE_CHECK_H_

#include <cstdio>
#include <cstdlib>

namespace lockstep::base_internal {

[[noreturn]] inline void CheckFailed(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "%s:%d: check failed: %s\n", file, line, condition);
  std::abort();
}

}  // namespace lockstep::base_internal

#define LOCKSTEP_CHECK(condition) \
  ((condition) ? void() : ::lockstep::base_internal::CheckFailed(__FILE__, __LINE__, #condition))

#ifdef NDEBUG
#define LOCKSTEP_DCHECK(condition) static_cast<void>(sizeof(!(condition)))
#else
#define LOCKSTEP_DCHECK(condition) LOCKSTEP_CHECK(condition)
#endif

#endif  // LOCKSTEP_COMMON_BASE_CHECK_H_
