// StepExecutor: owns the memory of a StaticPlan and walks its lists: kernels on the compute pool,
// collectives on the communicator. Thread: trainer. Run allocates nothing and makes no system call
// with one rank and one thread. Errors: the communicator's. Invariant: every rank walks the same
// list, so collectives meet.
#ifndef LOCKSTEP_WORKER_TRAIN_STEP_EXECUTOR_H_
#define LOCKSTEP_WORKER_TRAIN_STEP_EXECUTOR_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

#include "common/base/check.h"
#include "common/base/compute_pool.h"
#include "common/env/clock.h"
#include "common/plan/static_plan.h"
#include "common/tensor/arena.h"
#include "worker/comm/communicator.h"

namespace lockstep {

// The first value of a step that is NaN or infinite.
struct NonFinite {
  int64_t index = 0;  // of the call in the phase's list
  std::string call;   // "conv2d/forward"
  int64_t slot = -1;  // of the sample on this rank
};

class StepExecutor {
 public:
  // `plan`, `communicator` and `pool` must outlive it. RESOURCE_EXHAUSTED where memory cannot be
  // had.
  static absl::StatusOr<std::unique_ptr<StepExecutor>> Create(const StaticPlan& plan,
                                                              Communicator& communicator,
                                                              ComputePool& pool);

  // The address of a persistent slice, fixed for the executor's life; null for an invalid slice.
  template <typename T = float>
  T* At(Slice slice) const {
    return slice.valid() ? reinterpret_cast<T*>(Address(slice)) : nullptr;
  }

  // The buffer of a shared persistent slice: of values or gradients.
  const SharedBuffer& shared(Slice slice) const {
    return shared_[shared_index_[static_cast<size_t>(slice.buffer)]];
  }

  absl::Status RunTrain(size_t phase) { return Run(train_[phase], nullptr); }
  absl::Status RunEvaluate(size_t evaluation) { return Run(evaluations_[evaluation], nullptr); }
  // Of a plan that has them; there are no collectives in it, so any rank may run it alone.
  void RunPictures() { LOCKSTEP_CHECK(Run(pictures_, nullptr).ok()); }
  // The same, looking at every checked output on the way. The list goes on to its end, so that
  // collectives meet; the result is this rank's first finding.
  absl::StatusOr<std::optional<NonFinite>> RunTrainChecked(size_t phase) {
    return RunChecked(train_[phase]);
  }
  absl::StatusOr<std::optional<NonFinite>> RunEvaluateChecked(size_t evaluation) {
    return RunChecked(evaluations_[evaluation]);
  }
  // RunTrain that adds the seconds of each entry of the phase's list to `seconds`: the profile.
  absl::Status RunTimed(size_t phase, const Clock& clock, absl::Span<double> seconds);

 private:
  struct BoundEntry {
    const StepBuilder::Entry* entry;
    BoundCall call;             // of a kernel
    const std::byte* partials;  // of a collective
    std::byte* result;
    const float* checked;  // of an activation, or null
  };
  using BoundList = std::vector<BoundEntry>;

  StepExecutor(const StaticPlan& plan, Communicator& communicator, ComputePool& pool)
      : plan_(plan), communicator_(communicator), pool_(pool) {}
  absl::Status Allocate();
  BoundList Bind(const PlannedPhase& phase);
  std::byte* Address(Slice slice) const {
    return persistent_[static_cast<size_t>(slice.buffer)] + slice.offset_bytes;
  }
  absl::Status Run(const BoundList& list, std::optional<NonFinite>* finding);
  absl::StatusOr<std::optional<NonFinite>> RunChecked(const BoundList& list);
  absl::Status RunEntry(const BoundEntry& entry);
  absl::Status RunCollective(const BoundEntry& entry);
  void Check(const BoundList& list, int64_t index, std::optional<NonFinite>& finding) const;

  const StaticPlan& plan_;
  Communicator& communicator_;
  ComputePool& pool_;
  std::unique_ptr<Arena> arena_;      // temporaries first, then private persistent buffers
  std::vector<SharedBuffer> shared_;  // values and gradients, readable by ranks of this host
  std::vector<size_t> shared_index_;  // of each persistent buffer, where it is shared
  std::vector<std::byte*> persistent_;
  std::vector<BoundList> train_;
  std::vector<BoundList> evaluations_;
  BoundList pictures_;
};

}  // namespace lockstep

#endif  // LOCKSTEP_WORKER_TRAIN_STEP_EXECUTOR_H_
