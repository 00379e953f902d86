// The largest sizes that a job may ask for, in the file and on the command line alike: far above
// use, far below overflow.
#ifndef LOCKSTEP_COMMON_SPEC_JOB_LIMITS_H_
#define LOCKSTEP_COMMON_SPEC_JOB_LIMITS_H_

#include <cstdint>

namespace lockstep {

inline constexpr int64_t kBatchSizeMax = int64_t{1} << 20;
inline constexpr int64_t kShardsMax = int64_t{1} << 20;
inline constexpr int64_t kEpochsMax = (int64_t{1} << 31) - 1;
inline constexpr int64_t kStepsMax = int64_t{1} << 53;
inline constexpr int64_t kWorkersMax = int64_t{1} << 16;
inline constexpr int64_t kThreadsMax = int64_t{1} << 12;
inline constexpr int64_t kCheckpointsKeptMax = 10'000;
inline constexpr int64_t kClassesMax = (int64_t{1} << 31) - 1;

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_SPEC_JOB_LIMITS_H_
