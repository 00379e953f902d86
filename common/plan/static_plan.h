// StaticPlan: everything one rank computes in a step and in an evaluation, as flat lists of calls
// over laid-out memory: fixed when the job starts. The trainer allocates what it says, binds the
// calls to addresses and walks the lists. Thread: the one that plans. Immutable afterwards. Same
// calls on every rank; extents depend on the rank's shards.
#ifndef LOCKSTEP_COMMON_PLAN_STATIC_PLAN_H_
#define LOCKSTEP_COMMON_PLAN_STATIC_PLAN_H_

#include <memory>
#include <optional>
#include <vector>

#include "common/plan/plan_memory.h"
#include "common/plan/program.h"

namespace lockstep {

struct PlannedPhase {
  ProgramPhase phase;
  ArenaLayout arena;
  int64_t arena_lower_bound = 0;
};

// The evaluation of one data set, over feed slices of its own where its types differ.
struct PlannedEvaluation {
  PlannedPhase phase;
  FeedSlices feed;
};

// What fills the bytes of as many pictures as the rank has slots; no other rank takes part.
struct PlannedPictures {
  PictureSheet sheet;
  PlannedPhase phase;
  Slice bytes;  // u8 [slots][elements of a picture]
};

// The part of a model's trainable variables that this rank updates, and the optimizer's arrays for
// it.
struct OwnedModel {
  std::vector<Range> ranges;  // by rank, elements of the flat buffers, whole ownership blocks
  Range own;                  // this rank's
  std::vector<Slice> state;   // one array of own.size() floats per slot of the optimizer
};

struct PlanRequest {
  // All but `geometry` must outlive the plan.
  const JobSpec* spec = nullptr;
  const JobGraph* graph = nullptr;
  const ProgramDef* program = nullptr;
  const DataSignature* train = nullptr;
  std::vector<const DataSignature*> evaluations;
  BatchGeometry geometry;
  int32_t workers = 1;
  int32_t rank = 0;
};

class StaticPlan {
 public:
  static std::unique_ptr<StaticPlan> Create(const PlanRequest& request);

  const std::vector<PersistentBuffer>& persistent() const { return persistent_; }
  const std::vector<PlannedPhase>& train() const { return train_; }
  const std::vector<PlannedEvaluation>& evaluations() const { return evaluations_; }
  // Absent where the program shows none.
  const std::optional<PlannedPictures>& pictures() const { return pictures_; }
  const ProgramContext& slices() const { return *context_; }
  const std::vector<OwnedModel>& owned() const { return owned_; }  // by model
  // Copies of what this rank owns (each model's values, then its state; rank 0: then the variables
  // that are not trained), so that training goes on while a checkpoint is written.
  Slice snapshot() const { return snapshot_; }

  int64_t arena_bytes() const { return arena_bytes_; }                  // of the largest phase
  int64_t persistent_bytes() const;                                     // of all persistent buffers
  int64_t bytes() const { return arena_bytes() + persistent_bytes(); }  // of this worker
  double flops() const;  // of the training phases, this rank

 private:
  explicit StaticPlan(const PlanRequest& request) : request_(request) {}
  Slice AddPersistent(std::string name, int64_t bytes, bool shared = false);
  FeedSlices AddFeed(const DataSignature& data);
  void AddOwned();
  std::vector<PlannedPhase> LayOut(std::vector<ProgramPhase> phases);
  void PlanPictures();
  void PlanEvaluations();

  PlanRequest request_;
  std::vector<PersistentBuffer> persistent_;
  std::unique_ptr<ProgramContext> context_;
  std::vector<std::unique_ptr<ProgramContext>> evaluation_contexts_;
  std::vector<PlannedPhase> train_;
  std::vector<PlannedEvaluation> evaluations_;
  std::optional<PlannedPictures> pictures_;
  std::vector<OwnedModel> owned_;
  Slice snapshot_;
  int64_t arena_bytes_ = 0;
};

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_PLAN_STATIC_PLAN_H_
