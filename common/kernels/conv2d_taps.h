// Which kernel taps meet the image, along one axis. Plain integers, no SIMD; no errors.
// A position's tap t = 0, 1, ... reads coordinate origin + position * position_step + t * tap_step
// of an axis of `extent` cells; tap t is kernel index first_tap + t * tap_stride. The valid taps of
// a position are contiguous, because coordinates are monotonic.
#ifndef LOCKSTEP_COMMON_KERNELS_CONV2D_TAPS_H_
#define LOCKSTEP_COMMON_KERNELS_CONV2D_TAPS_H_

#include <algorithm>
#include <cstdint>
#include <numeric>

namespace lockstep::kernels {

struct TapAxis {
  int64_t origin = 0;
  int64_t position_step = 1;
  int64_t tap_step = 1;
  int64_t taps = 0;
  int64_t extent = 0;
  int64_t first_tap = 0;
  int64_t tap_stride = 1;

  int64_t Coordinate(int64_t position, int64_t tap) const {
    return origin + position * position_step + tap * tap_step;
  }
  bool Inside(int64_t position, int64_t tap) const {
    const int64_t coordinate = Coordinate(position, tap);
    return coordinate >= 0 && coordinate < extent;
  }
};

struct TapRange {
  int64_t begin = 0;
  int64_t end = 0;
  friend bool operator==(const TapRange&, const TapRange&) = default;
};

inline TapRange ValidTaps(const TapAxis& axis, int64_t position) {
  if (axis.taps > 0 && axis.Inside(position, 0) && axis.Inside(position, axis.taps - 1)) {
    return {0, axis.taps};
  }
  TapRange range;
  while (range.begin < axis.taps && !axis.Inside(position, range.begin)) ++range.begin;
  range.end = range.begin;
  while (range.end < axis.taps && axis.Inside(position, range.end)) ++range.end;
  return range;
}

// The positions that have all taps: [begin, end), empty where begin >= end. Coordinates grow with
// positions.
inline TapRange InnerPositions(const TapAxis& axis, int64_t positions) {
  if (axis.taps == 0) return {0, positions};
  const int64_t reach = (axis.taps - 1) * axis.tap_step;
  const int64_t low = axis.origin + (reach < 0 ? reach : 0);
  const int64_t high = axis.origin + (reach > 0 ? reach : 0);
  const int64_t step = axis.position_step, room = axis.extent - 1 - high;
  return {.begin = low < 0 ? (-low + step - 1) / step : 0,
          .end = room < 0 ? 0 : std::min(positions, room / step + 1)};
}

// One axis of a convolution: `in` input cells, `out` output cells.
struct ConvAxis {
  int64_t in, out, kernel, stride, dilation, pad;
};

// Positions are output cells, coordinates input cells.
inline TapAxis ForwardAxis(const ConvAxis& axis) {
  return {.origin = -axis.pad,
          .position_step = axis.stride,
          .tap_step = axis.dilation,
          .taps = axis.kernel,
          .extent = axis.in};
}

// Positions are the input cells residue, residue + stride, ...; coordinates are output cells. Taps
// whose output cell would not be an integer are no candidates, so the candidates are the same for
// all positions of one residue.
inline TapAxis BackwardAxis(const ConvAxis& axis, int64_t residue) {
  TapAxis taps{.extent = axis.out,
               .tap_stride = axis.stride / std::gcd(axis.stride, axis.dilation)};
  taps.tap_step = -(taps.tap_stride * axis.dilation / axis.stride);
  const auto reached = [&](int64_t tap) { return residue + axis.pad - tap * axis.dilation; };
  while (taps.first_tap < axis.kernel && reached(taps.first_tap) % axis.stride != 0)
    ++taps.first_tap;
  if (taps.first_tap < axis.kernel) {
    taps.taps = (axis.kernel - taps.first_tap + taps.tap_stride - 1) / taps.tap_stride;
    taps.origin = reached(taps.first_tap) / axis.stride;
  }
  return taps;
}

}  // namespace lockstep::kernels

#endif  // LOCKSTEP_COMMON_KERNELS_CONV2D_TAPS_H_
