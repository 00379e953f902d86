// BatchLoader: puts the samples that this rank's shards hold of a batch into the feed of the plan:
// rows as they are stored, labels, weights and the seeds of the losses. Reads its own samples only.
// Thread: the trainer's. Load allocates nothing. Errors: DATA_LOSS of a sample; INVALID_ARGUMENT
// for a label outside the classes.
#ifndef LOCKSTEP_WORKER_DATA_BATCH_LOADER_H_
#define LOCKSTEP_WORKER_DATA_BATCH_LOADER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "absl/status/status.h"

#include "common/data/dataset.h"
#include "common/plan/program.h"
#include "common/plan/shard_plan.h"

namespace lockstep {

// Addresses of the plan's feed slices, in the order of FeedSlices; null where a slice is invalid.
struct Feed {
  std::vector<std::byte*> input_rows;
  std::vector<std::byte*> target_rows;
  std::vector<int32_t*> labels;
  std::vector<float*> seeds;
  std::vector<float*> weights;
  int32_t* shard_count = nullptr;
  int32_t* batch_position = nullptr;
};

class BatchLoader {
 public:
  // `dataset` and `graph` outlive the loader. `class_weight`: of the job; empty for evaluation.
  BatchLoader(const Dataset& dataset, const JobGraph& graph,
              const std::map<int64_t, double>& class_weight, const BatchGeometry& geometry,
              Feed feed);

  absl::Status Load(const ShardPlan& plan, const BatchSpan& batch);
  // The data set's index of the sample in a slot of the last batch; -1 for an empty slot.
  int64_t SampleInSlot(int64_t slot) const { return samples_[static_cast<size_t>(slot)]; }

 private:
  absl::Status LoadSlot(int64_t slot, int64_t sample, double divisor);
  absl::Status LoadTarget(size_t output, int64_t slot, int64_t sample);

  // Constant after construction.
  const Dataset& dataset_;
  const JobGraph& graph_;
  std::vector<double> class_weight_;  // by class; empty: none
  const BatchGeometry geometry_;
  const Feed feed_;
  std::vector<int64_t> classes_;  // by output: how many labels there are; 0 for values
  // Of the trainer's thread.
  std::vector<int64_t> samples_;   // by slot
  std::vector<std::byte> sample_;  // one label or weight as it is stored
};

}  // namespace lockstep

#endif  // LOCKSTEP_WORKER_DATA_BATCH_LOADER_H_
