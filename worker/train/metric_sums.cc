#include "worker/train/metric_sums.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

#include "common/base/check.h"

namespace lockstep {
namespace {

std::string SumKey(size_t sum) { return absl::StrCat("epoch.sum.", sum); }
constexpr char kSamplesKey[] = "epoch.samples";

}  // namespace

MetricSums::MetricSums(const JobGraph& graph) : graph_(graph), sums_(graph.sum_count, 0.0) {
  names_.push_back("loss");
  const bool several = graph.outputs.size() > 1;
  for (const JobOutput& output : graph.outputs) {
    const std::string prefix = output.key.empty() ? "" : absl::StrCat(output.key, "_");
    if (several) names_.push_back(absl::StrCat(prefix, "loss"));
    for (const std::string& metric : output.metric_names) {
      names_.push_back(absl::StrCat(prefix, metric));
    }
  }
}

void MetricSums::Reset() {
  std::fill(sums_.begin(), sums_.end(), 0.0);
  samples_ = 0;
}

void MetricSums::Add(absl::Span<const double> sums, int64_t samples) {
  for (size_t i = 0; i < sums_.size(); ++i) sums_[i] += sums[i];
  samples_ += samples;
}

double MetricSums::LossOf(absl::Span<const double> sums, int64_t samples) const {
  double loss = 0;
  for (const JobOutput& output : graph_.outputs) {
    loss += output.loss_weight * (sums[output.first_sum] / static_cast<double>(samples));
  }
  return loss;
}

void MetricSums::MeansTo(absl::Span<double> means) const {
  LOCKSTEP_DCHECK(means.size() == names_.size());
  size_t next = 0;
  means[next++] = LossOf(sums_, samples_);
  for (const JobOutput& output : graph_.outputs) {
    // Of one output the loss is the job's, but for its weight.
    const size_t first = output.first_sum + (graph_.outputs.size() > 1 ? 0 : 1);
    for (size_t sum = first; sum <= output.first_sum + output.metrics.size(); ++sum) {
      means[next++] = sums_[sum] / static_cast<double>(samples_);
    }
  }
}

MetricValues MetricSums::Means(absl::string_view prefix) const {
  std::vector<double> means(names_.size());
  MeansTo(absl::MakeSpan(means));
  MetricValues values;
  for (size_t i = 0; i < means.size(); ++i) {
    values.emplace_back(absl::StrCat(prefix, names_[i]), means[i]);
  }
  return values;
}

void MetricSums::Save(ProgramState& state) const {
  for (size_t i = 0; i < sums_.size(); ++i) state.reals[SumKey(i)] = sums_[i];
  state.integers[kSamplesKey] = samples_;
}

void MetricSums::Restore(const ProgramState& state) {
  for (size_t i = 0; i < sums_.size(); ++i) {
    const auto found = state.reals.find(SumKey(i));
    sums_[i] = found == state.reals.end() ? 0.0 : found->second;
  }
  const auto found = state.integers.find(kSamplesKey);
  samples_ = found == state.integers.end() ? 0 : found->second;
}

}  // namespace lockstep
