// StaticPlan: everything one rank computes in a step and in an evaluation, as flat lists of calls
// over laid-out memory: fixed when the job starts. The trainer allocates what it says, binds the
// calls to addresses and walks the lists. Thread: the one that plans. Immutable afterwards. Same
// calls on every rank; extents depend on the rank's shards.
#ifndef LOCKSTEP_COMMON_PLAN_STATIC_PLAN_H_
#define LOCKSTEP_COMMON_PLAN_STATIC_PLAN_H_

#include <memory>
#include <vector>

#include "common/plan/plan_memory.h"
#include "common/plan/program.h"

namespace lockstep {

struct PlannedPhase {
  ProgramPhase phase;
  ArenaLayout arena;
  int64_t arena_lower_bound = 0;
};

class StaticPlan {
 public:
  // `graph`, `data` and `preprocess` must outlive the plan. `seed`: of the job.
  static std::unique_ptr<StaticPlan> Create(const JobGraph& graph, const DataSignature& data,
                                            const JobSpec& spec, const ProgramDef& program,
                                            BatchGeometry geometry);

  const std::vector<PersistentBuffer>& persistent() const { return persistent_; }
  const std::vector<PlannedPhase>& train() const { return train_; }
  const PlannedPhase& evaluate() const { return evaluate_; }
  const ProgramContext& slices() const { return *context_; }

  int64_t arena_bytes() const { return arena_bytes_; }  // of the largest phase
  int64_t persistent_bytes() const;                     // of all persistent buffers
  double flops() const;                                 // of the training phases, this rank

 private:
  StaticPlan() = default;
  Slice AddPersistent(std::string name, int64_t bytes, bool shared = false);
  void AddFeed(const JobGraph& graph, const DataSignature& data);
  PlannedPhase LayOut(ProgramPhase phase);

  std::vector<PersistentBuffer> persistent_;
  std::unique_ptr<ProgramContext> context_;
  std::vector<PlannedPhase> train_;
  PlannedPhase evaluate_;
  int64_t arena_bytes_ = 0;
};

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_PLAN_STATIC_PLAN_H_
