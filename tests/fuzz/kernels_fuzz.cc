// Any bytes choose a kernel, a shape, slots and values; every SIMD target must give the bits of the
// reference twin, between guard pages.
#include <cstdio>
#include <cstdlib>

#include "tests/common/kernels/kernel_cases.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto& cases = *new std::vector(lockstep::kernels::AllKernelCases());
  if (size == 0) return 0;
  lockstep::kernels::Choices choose({data + 1, size - 1});
  const lockstep::kernels::KernelCase& chosen = cases[data[0] % cases.size()];
  const lockstep::kernels::Difference difference = chosen.run(choose);
  if (difference.empty()) return 0;
  std::fprintf(stderr, "%s: %s\n", chosen.name, difference.c_str());
  std::abort();
}
