// Roofs: what no kernel of one worker can exceed on this machine, measured now. Thread: any one.
// Errors: kernels::InitSimd's.
#ifndef LOCKSTEP_WORKER_PROFILE_ROOFS_H_
#define LOCKSTEP_WORKER_PROFILE_ROOFS_H_

#include <vector>

#include "absl/status/statusor.h"

namespace lockstep {

struct Roofs {
  // Rates of a triad whose three arrays have `bytes` together, by size; they do not rise.
  struct Level {
    double bytes = 0;
    double bytes_per_second = 0;
  };
  double flops = 0;           // per second, of independent fused multiply-adds
  std::vector<Level> levels;  // the last is far beyond the caches

  // Of a call that touches `bytes`: the rate of the smallest level that holds them.
  double BytesPerSecond(double bytes) const;
};

enum class RoofEffort {
  kQuick,    // below 0.3 s: to compare a plan with
  kThorough  // about a second: to report
};

// The best of several tries, since a roof is what can be reached, with `threads` threads at once.
absl::StatusOr<Roofs> MeasureRoofs(int threads, RoofEffort effort);

// The least time a call takes, and which roof says so.
struct ExpectedTime {
  double seconds = 0;
  bool by_memory = false;
};
ExpectedTime ExpectedTimeOf(const Roofs& roofs, double flops, double bytes);

}  // namespace lockstep

#endif  // LOCKSTEP_WORKER_PROFILE_ROOFS_H_
