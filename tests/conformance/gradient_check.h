// GradientCheck: the gradients of a ModelProbe against differences of its own outputs, in f32
// (house style: relative error below 1e-3 at step 2^-8).
#ifndef LOCKSTEP_TESTS_CONFORMANCE_GRADIENT_CHECK_H_
#define LOCKSTEP_TESTS_CONFORMANCE_GRADIENT_CHECK_H_

#include <cstddef>
#include <cstdint>

#include "gtest/gtest.h"

#include "tests/conformance/model_probe.h"

namespace lockstep::testing {

// What a direction moves: an index among all inputs, then all trainable variables; or all of them.
inline constexpr size_t kEveryOperand = static_cast<size_t>(-1);
size_t OperandCount(const ModelProbe& probe);

// Along a random unit direction v of one operand (or of all at once), with J the Jacobian of the
// outputs and d_y = point.d_outputs: <d_y, J v> = <J^T d_y, v>. J v is the central difference of
// the outputs, J^T d_y what Backward gives; with all operands moving this is the directional
// derivative of the scalar <d_y, y>. Directions that pass a kink are drawn anew: where a ReLU
// changes sides an output is zero at just one end, and steps are kept below the distances between
// inputs, so no maximum changes its place.
::testing::AssertionResult HasTheGradient(const ModelProbe& probe, const ModelPoint& point,
                                          size_t operand, uint32_t seed);

}  // namespace lockstep::testing

#endif  // LOCKSTEP_TESTS_CONFORMANCE_GRADIENT_CHECK_H_
