#include "common/kernels/reference_pooling.h"

#include <cmath>
#include <vector>

namespace lockstep::kernels {
namespace {

// Offsets in [H][W][C] of the window's cells inside the image, in row-major order.
std::vector<int64_t> WindowCells(const PoolGeometry& g, int64_t p, int64_t q, int64_t c) {
  std::vector<int64_t> cells;
  for (int64_t i = 0; i < g.pool_h; ++i) {
    for (int64_t j = 0; j < g.pool_w; ++j) {
      const int64_t h = p * g.stride_h + i - g.pad_top, w = q * g.stride_w + j - g.pad_left;
      if (h >= 0 && h < g.height && w >= 0 && w < g.width)
        cells.push_back((h * g.width + w) * g.channels + c);
    }
  }
  return cells;
}

template <class T>
int64_t Winner(const std::vector<int64_t>& cells, const T* x) {
  int64_t best = cells[0];
  for (const int64_t cell : cells) {
    if (std::isnan(x[best])) break;
    if (x[cell] > x[best] || std::isnan(x[cell])) best = cell;
  }
  return best;
}

// Calls visit(cells, sample, output) for every output in order.
template <class Visit>
void ForEachWindow(const PoolGeometry& g, int64_t samples, Visit visit) {
  int64_t output = 0;
  for (int64_t n = 0; n < samples; ++n) {
    for (int64_t p = 0; p < g.out_h; ++p) {
      for (int64_t q = 0; q < g.out_w; ++q) {
        for (int64_t c = 0; c < g.channels; ++c) visit(WindowCells(g, p, q, c), n, output++);
      }
    }
  }
}

int64_t ImageElements(const PoolGeometry& g) { return g.height * g.width * g.channels; }

// d_x = sum, or d_x + sum.
template <class T>
void StoreGradient(const ReferencePoolBackwardArgs<T>& args, const std::vector<T>& sum) {
  for (size_t k = 0; k < sum.size(); ++k)
    args.d_x[k] = args.accumulate ? args.d_x[k] + sum[k] : sum[k];
}

}  // namespace

template <class T>
void ReferenceMaxPoolForward(const ReferencePoolArgs<T>& args) {
  ForEachWindow(args.geometry, args.samples,
                [&](const std::vector<int64_t>& cells, int64_t n, int64_t output) {
                  const T* x = args.x + n * ImageElements(args.geometry);
                  args.y[output] = x[Winner(cells, x)];
                });
}

template <class T>
void ReferenceAveragePoolForward(const ReferencePoolArgs<T>& args) {
  ForEachWindow(args.geometry, args.samples,
                [&](const std::vector<int64_t>& cells, int64_t n, int64_t output) {
                  const T* x = args.x + n * ImageElements(args.geometry);
                  T sum = 0;
                  for (const int64_t cell : cells) sum = sum + x[cell];
                  args.y[output] = sum / static_cast<T>(cells.size());
                });
}

template <class T>
void ReferenceMaxPoolBackward(const ReferencePoolBackwardArgs<T>& args) {
  const int64_t image = ImageElements(args.geometry);
  std::vector<T> sum(static_cast<size_t>(args.samples * image), T{0});
  ForEachWindow(args.geometry, args.samples,
                [&](const std::vector<int64_t>& cells, int64_t n, int64_t output) {
                  T& cell = sum[static_cast<size_t>(n * image + Winner(cells, args.x + n * image))];
                  cell = cell + args.d_y[output];
                });
  StoreGradient(args, sum);
}

template <class T>
void ReferenceAveragePoolBackward(const ReferencePoolBackwardArgs<T>& args) {
  const int64_t image = ImageElements(args.geometry);
  std::vector<T> sum(static_cast<size_t>(args.samples * image), T{0});
  ForEachWindow(args.geometry, args.samples,
                [&](const std::vector<int64_t>& cells, int64_t n, int64_t output) {
                  for (const int64_t cell : cells) {
                    T& target = sum[static_cast<size_t>(n * image + cell)];
                    target = target + args.d_y[output] / static_cast<T>(cells.size());
                  }
                });
  StoreGradient(args, sum);
}

template void ReferenceMaxPoolForward(const ReferencePoolArgs<float>&);
template void ReferenceMaxPoolForward(const ReferencePoolArgs<double>&);
template void ReferenceAveragePoolForward(const ReferencePoolArgs<float>&);
template void ReferenceAveragePoolForward(const ReferencePoolArgs<double>&);
template void ReferenceMaxPoolBackward(const ReferencePoolBackwardArgs<float>&);
template void ReferenceMaxPoolBackward(const ReferencePoolBackwardArgs<double>&);
template void ReferenceAveragePoolBackward(const ReferencePoolBackwardArgs<float>&);
template void ReferenceAveragePoolBackward(const ReferencePoolBackwardArgs<double>&);

}  // namespace lockstep::kernels
