// MetricSums: losses and metrics of an epoch or an evaluation: double sums, a chain over the steps,
// divided by the count of samples at the end; docs/NUMERICS.md#6-losses-metrics-optimizers.
// Thread: the trainer's. Errors: none. Add and MeansTo allocate nothing.
#ifndef LOCKSTEP_WORKER_TRAIN_METRIC_SUMS_H_
#define LOCKSTEP_WORKER_TRAIN_METRIC_SUMS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "common/checkpoint/checkpoint_manifest.h"
#include "common/plan/program.h"
#include "worker/train/training_observer.h"

namespace lockstep {

class MetricSums {
 public:
  // `graph` outlives it.
  explicit MetricSums(const JobGraph& graph);

  // "loss", then per output its loss (where the job has several) and its metrics.
  const std::vector<std::string>& names() const { return names_; }
  int64_t samples() const { return samples_; }

  void Reset();
  // The tree sums of a step over `samples` samples, in the order of JobGraph::outputs.
  void Add(absl::Span<const double> sums, int64_t samples);
  // The job's loss of one batch: its outputs' means, weighted.
  double LossOf(absl::Span<const double> sums, int64_t samples) const;
  // Means so far, in the order of names(); `means` has as many.
  void MeansTo(absl::Span<double> means) const;
  MetricValues Means(absl::string_view prefix = "") const;

  // Exact; under keys that begin with "epoch.".
  void Save(ProgramState& state) const;
  void Restore(const ProgramState& state);

 private:
  const JobGraph& graph_;
  std::vector<std::string> names_;
  std::vector<double> sums_;
  int64_t samples_ = 0;
};

}  // namespace lockstep

#endif  // LOCKSTEP_WORKER_TRAIN_METRIC_SUMS_H_
