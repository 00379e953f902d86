// kNumericsVersion: of docs/NUMERICS.md. A change of any order or function that can reach a model's
// bits raises it, in a commit of its own with new golden vectors.
#ifndef LOCKSTEP_COMMON_BASE_NUMERICS_VERSION_H_
#define LOCKSTEP_COMMON_BASE_NUMERICS_VERSION_H_

namespace lockstep {

inline constexpr int kNumericsVersion = 1;

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_BASE_NUMERICS_VERSION_H_
