// OwnedParameters: the values of a job's variables on this rank, and the part of them that this
// rank updates: sums of their gradients, optimizer state, snapshots. A range has one owner; nobody
// else keeps its state. Thread: the trainer's. Errors: the communicator's. Invariant: after Update
// all ranks hold the same values.
#ifndef LOCKSTEP_WORKER_TRAIN_OWNED_PARAMETERS_H_
#define LOCKSTEP_WORKER_TRAIN_OWNED_PARAMETERS_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"

#include "common/base/compute_pool.h"
#include "common/checkpoint/checkpoint_files.h"
#include "common/checkpoint/checkpoint_layout.h"
#include "common/checkpoint/checkpoint_reader.h"
#include "common/plan/program.h"
#include "common/plan/static_plan.h"
#include "worker/comm/communicator.h"
#include "worker/train/step_executor.h"

namespace lockstep {

class OwnedParameters {
 public:
  // What this works on; all outlive it. `graph` is this rank's own: its optimizers are used.
  struct Parts {
    const JobGraph* graph;
    const StaticPlan* plan;
    const StepExecutor* executor;
    Communicator* communicator;
    ComputePool* pool;
  };
  explicit OwnedParameters(const Parts& parts);

  // The initial values of a job with this seed, and zero state.
  void Initialize(uint64_t seed);
  // FAILED_PRECONDITION where the checkpoint's tensors are not this job's.
  absl::Status Restore(const Checkpoint& checkpoint);

  // The values of a model file, `name` in messages; state stays. FAILED_PRECONDITION where names or
  // shapes differ.
  absl::Status SetValues(absl::Span<const TensorView> tensors, absl::string_view name);

  // Sums the gradients of `models` that the phase has left; each rank receives those it owns.
  // No rank may run the next phase before another collective of all has returned.
  absl::Status ReduceGradients(absl::Span<const size_t> models);
  // Of the reduced gradients that this rank owns.
  bool GradientsFinite(absl::Span<const size_t> models) const;
  // Updates the models of a phase in a step, from 0, then shares their values.
  absl::Status Update(size_t phase, int64_t step);

  // Of all values, gaps included: equal on all ranks.
  uint64_t Fingerprint() const;
  // Every variable in the order of the hash; the memory is live.
  std::vector<TensorView> Variables() const;

  // Copies what this rank owns to the plan's snapshot memory.
  void TakeSnapshot();
  // What TakeSnapshot has copied, as pieces of a checkpoint.
  OwnedSnapshot snapshot() const { return snapshot_; }

 private:
  // One array that this rank owns a part of: a model's values or one slot of its state.
  struct Copy {
    const float* live;  // of the first owned element
    float* snapshot;
    int64_t count;
  };
  int64_t UpdateNumber(size_t model, size_t phase, int64_t step) const;
  void Clear();
  void PlanSnapshot();
  void AddPieces(size_t model, absl::string_view slot, const float* copied);
  float* ValuesAt(int64_t offset) const { return values_ + offset; }

  const Parts parts_;
  float* const values_;
  std::vector<std::vector<Range>> value_bytes_;  // by model, by rank
  std::vector<OptimizerRange> updates_;          // by model
  std::vector<Copy> copies_;
  OwnedSnapshot snapshot_;
};

}  // namespace lockstep

#endif  // LOCKSTEP_WORKER_TRAIN_OWNED_PARAMETERS_H_
