// Counts the allocations of this process. A test binary that links tests_allocations has
// malloc and its kin replaced by ones that count and forward.
#ifndef LOCKSTEP_TESTS_SUPPORT_ALLOCATION_COUNT_H_
#define LOCKSTEP_TESTS_SUPPORT_ALLOCATION_COUNT_H_

#include <cstdint>

namespace lockstep::testing {

// Whether this build counts: sanitizers have a malloc of their own.
bool AllocationsAreCounted();
// So far, of all threads.
int64_t AllocationCount();

}  // namespace lockstep::testing

#endif  // LOCKSTEP_TESTS_SUPPORT_ALLOCATION_COUNT_H_
