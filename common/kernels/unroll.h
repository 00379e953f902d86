// LOCKSTEP_UNROLL before a loop with constant bounds: the compiler unrolls it fully, so that an
// array of vectors stays in registers.
#ifndef LOCKSTEP_COMMON_KERNELS_UNROLL_H_
#define LOCKSTEP_COMMON_KERNELS_UNROLL_H_

#if defined(__clang__)
#define LOCKSTEP_UNROLL _Pragma("clang loop unroll(full)")
#else
#define LOCKSTEP_UNROLL _Pragma("GCC unroll 32")
#endif

// LOCKSTEP_KEEP_IN_REGISTER(vector) after a load with several uses: GCC would repeat the load in
// each and run out of load ports.
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__)
#define LOCKSTEP_KEEP_IN_REGISTER(vector) asm("" : "+v"((vector).raw))
#else
#define LOCKSTEP_KEEP_IN_REGISTER(vector) static_cast<void>(vector)
#endif

#endif  // LOCKSTEP_COMMON_KERNELS_UNROLL_H_
