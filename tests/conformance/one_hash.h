// What every training program must do: one hash for any count of ranks, also when the job goes on
// at another one; and the small job that programs are tried on.
#ifndef LOCKSTEP_TESTS_CONFORMANCE_ONE_HASH_H_
#define LOCKSTEP_TESTS_CONFORMANCE_ONE_HASH_H_

#include "tests/support/memory_dataset.h"
#include "tests/support/training_run.h"

namespace lockstep::testing {

// 45 samples in batches of 12, two a shard, so that the last shards are empty; four steps an epoch,
// the last one short.
inline constexpr int64_t kSamples = 45;
inline constexpr int64_t kSteps = 8;
inline constexpr char kTraining[] =
    "data: {train: {format: idx, inputs: a, targets: b}}\n"
    "train: {batch_size: 12, epochs: 2, shards: 8, seed: 4}\n"
    "checkpoint: {every_steps: 100}\n";

// x [6] and code [3].
inline Dataset OneModelData() {
  Dataset data{.count = kSamples};
  data.inputs.push_back(MakeColumn("x", Shape{6}, RandomFloats(kSamples * 6, 1)));
  data.targets.push_back(MakeColumn("code", Shape{3}, RandomFloats(kSamples * 3, 2)));
  return data;
}

// Trained by every split, and cut in two between other counts of ranks.
void ExpectOneHash(TrainingRunOptions options);

}  // namespace lockstep::testing

#endif  // LOCKSTEP_TESTS_CONFORMANCE_ONE_HASH_H_
