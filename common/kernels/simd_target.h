// Which SIMD target runs. LOCKSTEP_SIMD=avx2|avx512|neon forces one; a word that is unknown or a
// target that the CPU lacks is an error at start, never a fallback. A CPU without FMA (below
// x86-64-v3 or ARMv8) is refused by name.
#ifndef LOCKSTEP_COMMON_KERNELS_SIMD_TARGET_H_
#define LOCKSTEP_COMMON_KERNELS_SIMD_TARGET_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace lockstep::kernels {

// Call once at start, before any kernel. FAILED_PRECONDITION: the CPU is refused; INVALID_ARGUMENT:
// LOCKSTEP_SIMD.
absl::Status InitSimd();

// What InitSimd looks at.
struct CpuFacts {
  std::string name;         // "AMD EPYC 9R14"; empty where the CPU does not say
  bool has_target = false;  // one of those that are built
};
CpuFacts ThisCpu();
// FAILED_PRECONDITION with the CPU's name where it has no target.
absl::Status CheckCpu(const CpuFacts& cpu);
// "avx2", "avx512" or "neon": the target that kernels dispatch to.
absl::string_view SimdName();
// The targets this CPU runs, best last.
std::vector<absl::string_view> SupportedSimd();

// Forces a target for the lifetime of the object; tests only.
class ScopedSimdForTest {
 public:
  explicit ScopedSimdForTest(absl::string_view name);
  ~ScopedSimdForTest();
  ScopedSimdForTest(const ScopedSimdForTest&) = delete;
  ScopedSimdForTest& operator=(const ScopedSimdForTest&) = delete;
};

}  // namespace lockstep::kernels

#endif  // LOCKSTEP_COMMON_KERNELS_SIMD_TARGET_H_
