// GuardedBuffer: memory between two pages that nobody may touch, flush with one of them: a kernel
// that reads or writes one element too far ends the process at that instruction, in every build.
#ifndef LOCKSTEP_TESTS_COMMON_KERNELS_GUARDED_BUFFER_H_
#define LOCKSTEP_TESTS_COMMON_KERNELS_GUARDED_BUFFER_H_

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#include "common/base/check.h"

namespace lockstep::kernels {

// Which of the two pages the buffer touches.
enum class Flush { kStart, kEnd };

// `count` elements; what lies between the buffer and the other page is poisoned with 0xFF and must
// stay so. The address is a multiple of the element's size, and of 64 where the bytes are.
template <class T>
class GuardedBuffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  GuardedBuffer(const std::vector<T>& values, Flush flush) : GuardedBuffer(values.size(), flush) {
    if (size_ > 0) std::memcpy(data_, values.data(), bytes());
  }
  GuardedBuffer(size_t count, Flush flush)
      : size_(count), page_(static_cast<size_t>(sysconf(_SC_PAGESIZE))) {
    inner_ = std::max<size_t>(1, (bytes() + page_ - 1) / page_) * page_;
    void* const mapped = mmap(nullptr, inner_ + 2 * page_, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    LOCKSTEP_CHECK(mapped != MAP_FAILED);
    outer_ = static_cast<std::byte*>(mapped);
    LOCKSTEP_CHECK(mprotect(outer_, page_, PROT_NONE) == 0);
    LOCKSTEP_CHECK(mprotect(outer_ + page_ + inner_, page_, PROT_NONE) == 0);
    std::memset(outer_ + page_, kPoison, inner_);
    std::byte* const first = outer_ + page_ + (flush == Flush::kEnd ? inner_ - bytes() : 0);
    data_ = reinterpret_cast<T*>(first);
  }
  ~GuardedBuffer() { munmap(outer_, inner_ + 2 * page_); }
  GuardedBuffer(const GuardedBuffer&) = delete;
  GuardedBuffer& operator=(const GuardedBuffer&) = delete;

  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return size_; }
  std::vector<T> values() const { return {data_, data_ + size_}; }
  // Whether the bytes beside the buffer are as they were.
  bool intact() const {
    const std::byte* const begin = outer_ + page_;
    const auto* const first = reinterpret_cast<const std::byte*>(data_);
    const auto poisoned = [](std::byte byte) { return byte == std::byte{kPoison}; };
    return std::all_of(begin, first, poisoned) &&
           std::all_of(first + bytes(), begin + inner_, poisoned);
  }

 private:
  static constexpr unsigned char kPoison = 0xFF;  // a NaN as a float: seen where it is read
  size_t bytes() const { return size_ * sizeof(T); }

  const size_t size_;
  const size_t page_;
  size_t inner_ = 0;  // bytes between the two pages
  std::byte* outer_ = nullptr;
  T* data_ = nullptr;
};

}  // namespace lockstep::kernels

#endif  // LOCKSTEP_TESTS_COMMON_KERNELS_GUARDED_BUFFER_H_
