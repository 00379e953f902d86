#include "tests/conformance/loss_reference.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace lockstep::testing {
namespace {

constexpr double kUnit = 0x1p-24;  // the error of one rounding to float

// Bounds: 2 x roundings x kUnit x the sum of what is added, in magnitude (house style 3.6). A
// function of common/kernels/math-inl.h is within 2.5 ulp, so it counts as five roundings. `K` is
// the count of terms of a chain.
double Bound(size_t roundings, double magnitude) {
  return 2 * static_cast<double>(roundings) * kUnit * magnitude;
}

// The clipping limits are floats, as all numbers of docs/NUMERICS.md that are not called double.
constexpr double kLow = static_cast<double>(1e-7f);
constexpr double kHigh = static_cast<double>(1.0f - 1e-7f);

// mean_k (x_k - t_k)^2
LossTruth MeanSquaredError(const std::vector<double>& x, const std::vector<double>& t) {
  LossTruth truth;
  const auto count = static_cast<double>(x.size());
  for (size_t k = 0; k < x.size(); ++k) {
    const double error = x[k] - t[k];
    truth.loss += error * error / count;
    truth.d_x.push_back(2 * error / count);
    truth.d_x_bound.push_back(Bound(4, std::abs(truth.d_x[k])));
  }
  truth.loss_bound = Bound(x.size() + 3, truth.loss);
  return truth;
}

// -sum_k t_k log softmax(x)_k
LossTruth CrossEntropyOfLogits(const std::vector<double>& x, const std::vector<double>& t) {
  LossTruth truth;
  const double greatest = *std::max_element(x.begin(), x.end());
  double exponentials = 0, weight = 0;
  for (size_t k = 0; k < x.size(); ++k) {
    exponentials += std::exp(x[k] - greatest);
    weight += t[k];
  }
  const double log_sum = std::log(exponentials);
  double magnitude = (1 + std::abs(log_sum)) * weight;
  for (size_t k = 0; k < x.size(); ++k) {
    const double shifted = x[k] - greatest;
    truth.loss += t[k] * (log_sum - shifted);
    magnitude += t[k] * std::abs(shifted);
    const double p = std::exp(shifted) / exponentials;
    truth.d_x.push_back(weight * p - t[k]);
    // An exponential of -a has the error of a besides.
    truth.d_x_bound.push_back(Bound(x.size() + 12, (1 + std::abs(shifted)) * weight * p + t[k]));
  }
  truth.loss_bound = Bound(2 * x.size() + 12, magnitude);
  return truth;
}

// -sum_k t_k log clip(x_k / sum x); a clipped value passes no gradient.
LossTruth CrossEntropyOfProbabilities(const std::vector<double>& x, const std::vector<double>& t) {
  LossTruth truth;
  const double total = std::accumulate(x.begin(), x.end(), 0.0);
  double magnitude = 0, through_total = 0, through_magnitude = 0;
  std::vector<double> slopes;
  for (size_t k = 0; k < x.size(); ++k) {
    const double p = x[k] / total;
    const double clipped = std::clamp(p, kLow, kHigh);
    truth.loss -= t[k] * std::log(clipped);
    magnitude += t[k] * (1 + std::abs(std::log(clipped)));
    slopes.push_back(clipped == p ? -t[k] / p : 0.0);
    through_total += slopes[k] * p;
    through_magnitude += std::abs(slopes[k] * p);
  }
  for (const double slope : slopes) {
    truth.d_x.push_back((slope - through_total) / total);
    truth.d_x_bound.push_back(
        Bound(2 * x.size() + 8, (std::abs(slope) + through_magnitude) / total));
  }
  truth.loss_bound = Bound(2 * x.size() + 10, magnitude);
  return truth;
}

// mean_k log(1 + e^x_k) - t_k x_k, which is -(t log s(x) + (1 - t) log(1 - s(x))), s the sigmoid
LossTruth BinaryOfLogits(const std::vector<double>& x, const std::vector<double>& t) {
  LossTruth truth;
  const auto count = static_cast<double>(x.size());
  double magnitude = 0;
  for (size_t k = 0; k < x.size(); ++k) {
    const double softplus = std::max(x[k], 0.0) + std::log1p(std::exp(-std::abs(x[k])));
    truth.loss += (softplus - t[k] * x[k]) / count;
    magnitude += (1 + std::abs(x[k]) + std::abs(t[k] * x[k])) / count;
    const double sigmoid = 1 / (1 + std::exp(-x[k]));
    truth.d_x.push_back((sigmoid - t[k]) / count);
    truth.d_x_bound.push_back(Bound(8, (sigmoid + t[k]) / count));
  }
  truth.loss_bound = Bound(x.size() + 14, magnitude);
  return truth;
}

// mean_k -(t_k log p_k + (1 - t_k) log(1 - p_k)), p clipped; a clipped value passes no gradient
LossTruth BinaryOfProbabilities(const std::vector<double>& x, const std::vector<double>& t) {
  LossTruth truth;
  const auto count = static_cast<double>(x.size());
  double magnitude = 0;
  for (size_t k = 0; k < x.size(); ++k) {
    const double p = std::clamp(x[k], kLow, kHigh);
    truth.loss -= (t[k] * std::log(p) + (1 - t[k]) * std::log(1 - p)) / count;
    magnitude += (t[k] * (1 - std::log(p)) + std::abs(1 - t[k]) * (1 - std::log(1 - p))) / count;
    const double on = t[k] / p, off = (1 - t[k]) / (1 - p);
    truth.d_x.push_back(p == x[k] ? (off - on) / count : 0.0);
    truth.d_x_bound.push_back(Bound(6, (on + std::abs(off)) / count));
  }
  truth.loss_bound = Bound(x.size() + 12, magnitude);
  return truth;
}

constexpr LossReference kReferences[] = {
    {"binary_crossentropy", OutputForm::kLogits, &BinaryOfLogits},
    {"binary_crossentropy", OutputForm::kProbabilities, &BinaryOfProbabilities},
    {"categorical_crossentropy", OutputForm::kLogits, &CrossEntropyOfLogits},
    {"categorical_crossentropy", OutputForm::kProbabilities, &CrossEntropyOfProbabilities},
    {"mean_squared_error", OutputForm::kValues, &MeanSquaredError},
    {"sparse_categorical_crossentropy", OutputForm::kLogits, &CrossEntropyOfLogits},
    {"sparse_categorical_crossentropy", OutputForm::kProbabilities, &CrossEntropyOfProbabilities},
};

}  // namespace

const LossReference* FindLossReference(absl::string_view loss, OutputForm form) {
  for (const LossReference& reference : kReferences) {
    if (reference.loss == loss && reference.form == form) return &reference;
  }
  return nullptr;
}

}  // namespace lockstep::testing
