#include "tests/conformance/gradient_check.h"

#include <algorithm>
#include <cmath>

#include "tests/support/memory_dataset.h"

namespace lockstep::testing {
namespace {

constexpr double kStep = 0x1p-8;
constexpr double kRelativeErrorMax = 1e-3;
constexpr uint32_t kDrawsMax = 100;

// The operands of a point: its inputs, then its trainable variables.
std::vector<std::vector<float>*> OperandsOf(const Model& model, ModelPoint& point) {
  std::vector<std::vector<float>*> operands;
  for (std::vector<float>& input : point.inputs) operands.push_back(&input);
  for (size_t v = 0; v < model.variables().size(); ++v) {
    if (model.variables()[v].trainable) operands.push_back(&point.variables[v].second);
  }
  return operands;
}

// In the same order.
Tensors GradientsOf(const ModelOutcome& outcome) {
  Tensors gradients = outcome.d_inputs;
  for (const auto& [path, values] : outcome.d_variables) gradients.push_back(values);
  return gradients;
}

double Dot(const std::vector<float>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t k = 0; k < a.size(); ++k) sum += static_cast<double>(a[k]) * b[k];
  return sum;
}

std::vector<double> Difference(const std::vector<float>& a, const std::vector<float>& b) {
  std::vector<double> difference;
  for (size_t k = 0; k < a.size(); ++k) {
    difference.push_back(static_cast<double>(a[k]) - static_cast<double>(b[k]));
  }
  return difference;
}

// The outputs of both ends of a step that crosses no ReLU's kink.
bool SameZeros(const Tensors& a, const Tensors& b) {
  for (size_t t = 0; t < a.size(); ++t) {
    for (size_t k = 0; k < a[t].size(); ++k) {
      if ((a[t][k] == 0.0f) != (b[t][k] == 0.0f)) return false;
    }
  }
  return true;
}

class Check {
 public:
  Check(const ModelProbe& probe, const ModelPoint& point, size_t operand)
      : probe_(probe), point_(point), operand_(operand) {}

  ::testing::AssertionResult Run(uint32_t seed) {
    const absl::StatusOr<ModelOutcome> middle = probe_.Run(point_, Pass::kTrain, {});
    if (!middle.ok()) return ::testing::AssertionFailure() << middle.status();
    for (uint32_t draw = 0; draw < kDrawsMax; ++draw) {
      if (!Move(seed + 100000 * draw)) continue;
      const absl::StatusOr<ModelOutcome> up = probe_.Run(up_, Pass::kTrain, {});
      const absl::StatusOr<ModelOutcome> down = probe_.Run(down_, Pass::kTrain, {});
      if (!up.ok()) return ::testing::AssertionFailure() << up.status();
      if (!down.ok()) return ::testing::AssertionFailure() << down.status();
      if (SameZeros(up->outputs, down->outputs)) {
        return Compare(*middle, up->outputs, down->outputs);
      }
    }
    return ::testing::AssertionFailure() << "every direction of " << kDrawsMax << " passes a kink";
  }

 private:
  bool Moves(size_t operand) const { return operand_ == kEveryOperand || operand == operand_; }

  // Fills up_ and down_, a step along a random unit direction and against it. False where the step
  // is too long for the distances between inputs.
  bool Move(uint32_t seed) {
    up_ = down_ = point_;
    const auto ups = OperandsOf(probe_.model(), up_);
    const auto downs = OperandsOf(probe_.model(), down_);
    Tensors directions;
    double square = 0;
    for (size_t o = 0; o < ups.size(); ++o) {
      directions.push_back(RandomFloats(std::ssize(*ups[o]), seed + static_cast<uint32_t>(o)));
      for (float& value : directions[o]) value = Moves(o) ? value : 0.0f;
      square += Dot(directions[o], {directions[o].begin(), directions[o].end()});
    }
    for (size_t o = 0; o < ups.size(); ++o) {
      const int64_t elements = std::ssize(*ups[o]) / probe_.samples();
      for (size_t k = 0; k < ups[o]->size(); ++k) {
        const double step = kStep * static_cast<double>(directions[o][k]) / std::sqrt(square);
        const bool is_input = o < point_.inputs.size();
        if (is_input && 2 * std::abs(step) >= ModelProbe::InputGap(elements)) return false;
        (*ups[o])[k] = static_cast<float>(static_cast<double>((*ups[o])[k]) + step);
        (*downs[o])[k] = static_cast<float>(static_cast<double>((*downs[o])[k]) - step);
      }
    }
    return true;
  }

  // The direction is taken as the floats have rounded it, so that only the outputs' rounding and
  // the third derivative remain. The error is relative to the derivative or, for a direction that
  // happens to be nearly orthogonal to the gradient g, to its root mean square |g| |v| / sqrt(dim)
  // over all directions.
  ::testing::AssertionResult Compare(const ModelOutcome& middle, const Tensors& up,
                                     const Tensors& down) {
    double differences = 0, analytic = 0, gradient_square = 0, direction_square = 0, dims = 0;
    for (size_t o = 0; o < up.size(); ++o) {
      differences += Dot(point_.d_outputs[o], Difference(up[o], down[o]));
    }
    const Tensors gradients = GradientsOf(middle);
    const auto ups = OperandsOf(probe_.model(), up_);
    const auto downs = OperandsOf(probe_.model(), down_);
    for (size_t o = 0; o < ups.size(); ++o) {
      if (!Moves(o)) continue;
      const std::vector<double> direction = Difference(*ups[o], *downs[o]);
      analytic += Dot(gradients[o], direction);
      gradient_square += Dot(gradients[o], {gradients[o].begin(), gradients[o].end()});
      for (const double d : direction) direction_square += d * d;
      dims += static_cast<double>(direction.size());
    }
    const double typical = std::sqrt(gradient_square * direction_square / dims);
    const double scale = std::max({std::abs(differences), std::abs(analytic), typical});
    if (scale > 0 && std::abs(differences - analytic) <= kRelativeErrorMax * scale) {
      return ::testing::AssertionSuccess();
    }
    return ::testing::AssertionFailure()
           << "outputs change by " << differences << ", the gradient says " << analytic
           << "; a typical change is " << typical;
  }

  const ModelProbe& probe_;
  const ModelPoint& point_;
  const size_t operand_;
  ModelPoint up_;
  ModelPoint down_;
};

}  // namespace

size_t OperandCount(const ModelProbe& probe) {
  ModelPoint point = probe.RandomPoint(0);
  return OperandsOf(probe.model(), point).size();
}

::testing::AssertionResult HasTheGradient(const ModelProbe& probe, const ModelPoint& point,
                                          size_t operand, uint32_t seed) {
  return Check(probe, point, operand).Run(seed);
}

}  // namespace lockstep::testing
