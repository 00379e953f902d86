#include "tests/support/allocation_count.h"

#include <atomic>
#include <cerrno>
#include <cstddef>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LOCKSTEP_COUNT_ALLOCATIONS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define LOCKSTEP_COUNT_ALLOCATIONS 0
#endif
#endif
#ifndef LOCKSTEP_COUNT_ALLOCATIONS
#define LOCKSTEP_COUNT_ALLOCATIONS 1
#endif

namespace lockstep::testing {
namespace {

std::atomic<int64_t> allocations{0};

}  // namespace

bool AllocationsAreCounted() { return LOCKSTEP_COUNT_ALLOCATIONS == 1; }
int64_t AllocationCount() { return allocations.load(std::memory_order_relaxed); }

}  // namespace lockstep::testing

#if LOCKSTEP_COUNT_ALLOCATIONS
// glibc's own entry points; operator new and delete come here too.
extern "C" {
void* __libc_malloc(size_t bytes);
void* __libc_calloc(size_t count, size_t bytes);
void* __libc_realloc(void* old, size_t bytes);
void* __libc_memalign(size_t alignment, size_t bytes);

static void CountOne() { lockstep::testing::allocations.fetch_add(1, std::memory_order_relaxed); }
void* malloc(size_t bytes) {
  CountOne();
  return __libc_malloc(bytes);
}
void* calloc(size_t count, size_t bytes) {
  CountOne();
  return __libc_calloc(count, bytes);
}
void* realloc(void* old, size_t bytes) {
  CountOne();
  return __libc_realloc(old, bytes);
}
void* memalign(size_t alignment, size_t bytes) {
  CountOne();
  return __libc_memalign(alignment, bytes);
}
void* aligned_alloc(size_t alignment, size_t bytes) {
  CountOne();
  return __libc_memalign(alignment, bytes);
}
int posix_memalign(void** out, size_t alignment, size_t bytes) {
  CountOne();
  *out = __libc_memalign(alignment, bytes);
  return *out == nullptr ? ENOMEM : 0;
}
}
#endif
