// PlanMemory: the buffers that live as long as a job, and the liveness-coloured arena of a step's
// temporaries. Pure bookkeeping of sizes and offsets; the worker owns the memory itself.
#ifndef LOCKSTEP_COMMON_PLAN_PLAN_MEMORY_H_
#define LOCKSTEP_COMMON_PLAN_PLAN_MEMORY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"

#include "common/nn/step_builder.h"

namespace lockstep {

struct PersistentBuffer {
  std::string name;  // "values", "gradients", "input 'x'", ...
  int64_t bytes = 0;
  bool shared = false;  // read by other ranks of the host in collectives
};

// A temporary's bytes and the first and last call that uses it; first > last: never used.
struct LiveRange {
  int64_t bytes = 0;
  int32_t first = 1;
  int32_t last = 0;
};

struct ArenaLayout {
  std::vector<int64_t> offsets;  // one per live range
  int64_t bytes = 0;
};

inline constexpr int64_t kBufferAlignBytes = 64;

// Offsets such that ranges alive at once do not overlap: largest first, lowest gap that fits.
ArenaLayout LayOutArena(const std::vector<LiveRange>& ranges);

// The most bytes alive at any call: no layout can do with less.
int64_t ArenaLowerBound(const std::vector<LiveRange>& ranges);

// The temporaries of lists that run one after another and share them, from what each call asks for
// while it is bound to addresses that nobody reads; calls are numbered on from list to list. What
// an earlier list has left stays to the end of the last one that uses it: that list may be walked
// again to look at its values.
std::vector<LiveRange> LiveRangesOf(absl::Span<const StepBuilder* const> lists,
                                    size_t persistent_count);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_PLAN_PLAN_MEMORY_H_
