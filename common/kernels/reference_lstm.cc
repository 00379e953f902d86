#include "common/kernels/reference_lstm.h"

#include <cmath>

#include "common/kernels/reference_activation.h"

namespace lockstep::kernels {
namespace {

template <class T>
T Stored(T x) {
  return std::fabs(x) < static_cast<T>(0x1p-126) ? T{0} : x;
}

int64_t PositionOf(const LstmShape& shape, int64_t step) {
  return shape.backwards ? shape.positions - 1 - step : step;
}

}  // namespace

template <class T>
ReferenceLstmKept<T> ReferenceLstmForward(const ReferenceLstmForwardArgs<T>& args) {
  const LstmShape& s = args.shape;
  const int64_t features = s.inputs, units = s.units, gates = 4 * units;
  const auto rows = static_cast<size_t>(args.samples * s.positions);
  ReferenceLstmKept<T> kept{std::vector<T>(rows * static_cast<size_t>(gates)),
                            std::vector<T>(rows * static_cast<size_t>(2 * units)),
                            std::vector<T>(rows * static_cast<size_t>(units))};
  for (int64_t n = 0; n < args.samples; ++n) {
    std::vector<T> h(static_cast<size_t>(units), T{0}), cell = h;
    for (int64_t step = 0; step < s.positions; ++step) {
      const int64_t row = n * s.positions + PositionOf(s, step);
      const T* x = args.x + row * features;
      T* z = kept.gates.data() + row * gates;
      for (int64_t j = 0; j < gates; ++j) {
        T sum = args.b == nullptr ? T{0} : args.b[j];
        for (int64_t f = 0; f < features; ++f) sum = std::fma(x[f], args.w[f * gates + j], sum);
        for (int64_t k = 0; k < units; ++k)
          sum = std::fma(h[static_cast<size_t>(k)], args.u[k * gates + j], sum);
        z[j] = ReferenceActivation(j / units == 2 ? s.activation : s.recurrent_activation, sum);
      }
      for (int64_t k = 0; k < units; ++k) {
        const auto at = static_cast<size_t>(k);
        kept.before[static_cast<size_t>(row * units + k)] = h[at];
        cell[at] = Stored(std::fma(z[k], z[2 * units + k], z[units + k] * cell[at]));
        const T squashed = ReferenceActivation(s.activation, cell[at]);
        h[at] = Stored(z[3 * units + k] * squashed);
        kept.cells[static_cast<size_t>(row * 2 * units + k)] = cell[at];
        kept.cells[static_cast<size_t>((row * 2 + 1) * units + k)] = squashed;
        const int64_t place = s.sequences ? n * s.positions + step : n;
        if (s.sequences || step + 1 == s.positions) args.y[place * units + k] = h[at];
      }
    }
  }
  return kept;
}

template <class T>
std::vector<T> ReferenceLstmBackward(const ReferenceLstmBackwardArgs<T>& args) {
  const LstmShape& s = args.shape;
  const int64_t units = s.units, gates = 4 * units;
  std::vector<T> d_gates(args.kept.gates.size());
  for (int64_t n = 0; n < args.samples; ++n) {
    std::vector<T> carried(static_cast<size_t>(units), T{0});
    for (int64_t step = s.positions; step-- > 0;) {
      const bool last = step + 1 == s.positions;
      const int64_t row = n * s.positions + PositionOf(s, step);
      const T* z = args.kept.gates.data() + row * gates;
      T* d_z = d_gates.data() + row * gates;
      for (int64_t k = 0; k < units; ++k) {
        T d_h = 0;
        if (!last) {
          const T* after = d_gates.data() + (n * s.positions + PositionOf(s, step + 1)) * gates;
          for (int64_t j = 0; j < gates; ++j) d_h = std::fma(after[j], args.u[k * gates + j], d_h);
        }
        if (s.sequences || last) {
          const T d_y = args.d_y[(s.sequences ? n * s.positions + step : n) * units + k];
          d_h = last ? d_y : d_y + d_h;
        }
        const T i = z[k], f = z[units + k], g = z[2 * units + k], o = z[3 * units + k];
        const T squashed = args.kept.cells[static_cast<size_t>((row * 2 + 1) * units + k)];
        const int64_t earlier = n * s.positions + PositionOf(s, step == 0 ? 0 : step - 1);
        const T before =
            step == 0 ? T{0} : args.kept.cells[static_cast<size_t>(earlier * 2 * units + k)];
        T& rest = carried[static_cast<size_t>(k)];
        const T d_cell = ReferenceActivationDerivative(s.activation, squashed, d_h * o) + rest;
        const Activation gate = s.recurrent_activation;
        d_z[k] = Stored(ReferenceActivationDerivative(gate, i, d_cell * g));
        d_z[units + k] = Stored(ReferenceActivationDerivative(gate, f, d_cell * before));
        d_z[2 * units + k] = Stored(ReferenceActivationDerivative(s.activation, g, d_cell * i));
        d_z[3 * units + k] = Stored(ReferenceActivationDerivative(gate, o, d_h * squashed));
        rest = Stored(d_cell * f);
      }
    }
  }
  return d_gates;
}

template ReferenceLstmKept<float> ReferenceLstmForward(const ReferenceLstmForwardArgs<float>&);
template ReferenceLstmKept<double> ReferenceLstmForward(const ReferenceLstmForwardArgs<double>&);
template std::vector<float> ReferenceLstmBackward(const ReferenceLstmBackwardArgs<float>&);
template std::vector<double> ReferenceLstmBackward(const ReferenceLstmBackwardArgs<double>&);

}  // namespace lockstep::kernels
