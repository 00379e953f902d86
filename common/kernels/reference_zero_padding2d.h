// The slow twins of zero_padding2d.h, T = float (same bits) or double (gradient checks). Samples
// one after another in Keras' layout: x, d_x: [N][H][W][C]  y, d_y: [N][P][Q][C].
#ifndef LOCKSTEP_COMMON_KERNELS_REFERENCE_ZERO_PADDING2D_H_
#define LOCKSTEP_COMMON_KERNELS_REFERENCE_ZERO_PADDING2D_H_

#include <cstddef>
#include <vector>

#include "common/kernels/zero_padding2d.h"

namespace lockstep::kernels {

// Visit(element of the unpadded images, element of the padded ones), in the order of the former.
template <class Visit>
void ForEachPaddedPair(const ZeroPadding2dGeometry& g, int64_t samples, Visit visit) {
  size_t inside = 0;
  for (int64_t n = 0; n < samples; ++n) {
    for (int64_t h = 0; h < g.height; ++h) {
      for (int64_t w = 0; w < g.width; ++w) {
        for (int64_t c = 0; c < g.channels; ++c) {
          const int64_t row = n * g.out_h() + g.top + h;
          const int64_t padded = (row * g.out_w() + g.left + w) * g.channels + c;
          visit(inside++, static_cast<size_t>(padded));
        }
      }
    }
  }
}

template <class T>
std::vector<T> ReferenceZeroPadding2d(const ZeroPadding2dGeometry& g, int64_t samples,
                                      const std::vector<T>& x) {
  std::vector<T> y(static_cast<size_t>(samples * g.out_h() * g.out_w() * g.channels), T{0});
  ForEachPaddedPair(g, samples, [&](size_t inside, size_t padded) { y[padded] = x[inside]; });
  return y;
}

// d_x as the kernel leaves it.
template <class T>
void ReferenceZeroPadding2dBackward(const ZeroPadding2dGeometry& g, int64_t samples,
                                    const std::vector<T>& d_y, bool accumulate,
                                    std::vector<T>& d_x) {
  ForEachPaddedPair(g, samples, [&](size_t inside, size_t padded) {
    d_x[inside] = accumulate ? d_x[inside] + d_y[padded] : d_y[padded];
  });
}

}  // namespace lockstep::kernels

#endif  // LOCKSTEP_COMMON_KERNELS_REFERENCE_ZERO_PADDING2D_H_
