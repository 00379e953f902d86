// The two loops that show what a core can do at most: independent fused multiply-adds, and a triad
// over memory. They compute nothing that is wanted; who times them learns the machine's roofs.
#ifndef LOCKSTEP_COMMON_KERNELS_ROOF_LOOPS_H_
#define LOCKSTEP_COMMON_KERNELS_ROOF_LOOPS_H_

#include <cstdint>

namespace lockstep::kernels {

// Returns the floating-point operations done; `sink`: 16 floats, 64-byte aligned, that keep the
// compiler from leaving the work out.
double FmaLoop(int64_t rounds, float* sink);

// a = b + 3 c over `count` floats, a multiple of 16, 64-byte aligned. Returns the bytes moved.
double TriadLoop(float* a, const float* b, const float* c, int64_t count);

}  // namespace lockstep::kernels

#endif  // LOCKSTEP_COMMON_KERNELS_ROOF_LOOPS_H_
