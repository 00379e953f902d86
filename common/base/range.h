// Range: [begin, end) of elements or bytes; what of, its user says.
#ifndef LOCKSTEP_COMMON_BASE_RANGE_H_
#define LOCKSTEP_COMMON_BASE_RANGE_H_

#include <algorithm>
#include <cstdint>

namespace lockstep {

struct Range {
  int64_t begin = 0;
  int64_t end = 0;

  int64_t size() const { return end - begin; }
  bool empty() const { return end <= begin; }
  friend bool operator==(const Range&, const Range&) = default;
};

inline Range Intersection(const Range& a, const Range& b) {
  const int64_t begin = std::max(a.begin, b.begin);
  return {begin, std::max(begin, std::min(a.end, b.end))};
}

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_BASE_RANGE_H_
