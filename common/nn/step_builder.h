// StepBuilder: records a step (or an evaluation) as a flat list of kernel calls and collectives
// over named slices of memory. Layers, losses and programs write into it; common/plan lays the
// memory out and binds addresses, once, before training. Thread: the one that plans. Nothing here
// runs a kernel.
#ifndef LOCKSTEP_COMMON_NN_STEP_BUILDER_H_
#define LOCKSTEP_COMMON_NN_STEP_BUILDER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/kernels/block.h"
#include "common/tensor/shape.h"

namespace lockstep {

// A place in memory: a buffer and a byte offset inside it. Resolved to an address when the plan is
// bound.
struct Slice {
  int32_t buffer = -1;
  int64_t offset_bytes = 0;

  bool valid() const { return buffer >= 0; }
  Slice Elements(int64_t count) const { return {buffer, offset_bytes + count * 4}; }
  friend bool operator==(const Slice&, const Slice&) = default;
};

// Resolves slices. What a call asks for while it is bound is what it uses: liveness is derived from
// that, never declared.
class Binder {
 public:
  virtual ~Binder() = default;
  template <typename T = float>
  T* At(Slice slice) const {
    return slice.valid() ? static_cast<T*>(Resolve(slice)) : nullptr;
  }

 protected:
  virtual void* Resolve(Slice slice) const = 0;
};

// A kernel with its arguments: `run` may be called for disjoint unit ranges on several threads at
// once.
struct BoundCall {
  int64_t units = 1;
  std::function<void(kernels::UnitRange)> run;
};

// BoundCall of a kernel of the form void Kernel(const Args&, UnitRange).
template <typename Args>
BoundCall BindKernel(void (*kernel)(const Args&, kernels::UnitRange), const Args& args,
                     int64_t units) {
  return {units, [kernel, args](kernels::UnitRange range) { kernel(args, range); }};
}

struct CallInfo {
  std::string label;     // "conv2d/forward": layer, then what
  std::string shapes;    // of one sample, "28x28x1 -> 26x26x32"
  double flops = 0;      // of the whole call on this rank
  double bytes = 0;      // read and written, each operand once
  Slice checked = {};    // in checking mode: this output must be finite ...
  int64_t features = 0;  // ... [blocks][features][16]; 0: not an activation
};

// What a collective does along the shard tree with one partial per subtree that this rank holds;
// every rank gets the result.
enum class CollectiveKind { kSumFloats, kMergeMoments };

struct CollectiveCall {
  std::string label;
  CollectiveKind kind = CollectiveKind::kSumFloats;
  int64_t count = 0;  // floats, or kernels::Moments
  Slice partials;     // [subtrees][count]
  Slice result;       // [count]
};

// The fixed geometry of one rank's part of a batch.
struct BatchGeometry {
  int32_t first_shard = 0;  // of the job's S
  int32_t blocks = 0;
  int32_t shards = 0;
  int32_t shard_slots = 0;
  int32_t shard_positions = 0;
  std::vector<kernels::SubtreeRange>
      subtrees;  // maximal aligned subtrees of this rank's shards, in shard order
};

class StepBuilder {
 public:
  struct Entry {
    enum class Kind { kCall, kCollective } kind = Kind::kCall;
    CallInfo info;
    std::function<BoundCall(const Binder&)> bind;
    CollectiveCall collective;
  };

  // `shard_count`, `batch_position` and `step` are persistent inputs that the trainer fills before
  // each step.
  struct RunInputs {
    Slice shard_count;             // int32 [shards]
    Slice batch_position;          // int32 [blocks * 16]
    Slice step;                    // int64
    uint64_t dropout_key = 0;      // RandomKey(seed, kDropout)
    uint64_t noise_key = 0;        // RandomKey(seed, kNoise)
    uint64_t fixed_noise_key = 0;  // RandomKey(seed, kFixedNoise)
  };

  // Bytes of the temporary buffers by id. Lists that share one may use each other's: what an
  // earlier one has left is there when a later one of the step runs.
  using Temporaries = std::shared_ptr<std::vector<int64_t>>;

  StepBuilder(BatchGeometry geometry, RunInputs inputs, Temporaries temporaries = nullptr)
      : geometry_(std::move(geometry)),
        inputs_(inputs),
        buffer_bytes_(temporaries == nullptr ? std::make_shared<std::vector<int64_t>>()
                                             : std::move(temporaries)) {}

  const BatchGeometry& geometry() const { return geometry_; }
  const RunInputs& inputs() const { return inputs_; }
  kernels::SlotMap Slots(const Binder& binder) const {
    return {geometry_.blocks, geometry_.shards, geometry_.shard_slots, geometry_.shard_positions,
            binder.At<int32_t>(inputs_.shard_count)};
  }

  // Memory that lives from the first call that uses it to the last. Ids are given out by the plan.
  Slice Allocate(int64_t bytes) {
    buffer_bytes_->push_back(bytes);
    return {static_cast<int32_t>(buffer_bytes_->size()) - 1 + kTemporaryBase, 0};
  }
  // [blocks][elements][16] floats.
  Slice AllocateActivation(int64_t elements) {
    return Allocate(int64_t{4} * kernels::kBlockLanes * geometry_.blocks * elements);
  }

  void Call(CallInfo info, std::function<BoundCall(const Binder&)> bind) {
    entries_.push_back({Entry::Kind::kCall, std::move(info), std::move(bind), {}});
  }
  void Collective(CollectiveCall call) {
    entries_.push_back({Entry::Kind::kCollective, {}, nullptr, std::move(call)});
  }

  // Says what the entries from `first` on go over, where they have not said it themselves.
  void SetShapes(size_t first, const std::string& shapes) {
    for (size_t e = first; e < entries_.size(); ++e) {
      if (entries_[e].info.shapes.empty()) entries_[e].info.shapes = shapes;
    }
  }

  const std::vector<Entry>& entries() const { return entries_; }
  const std::vector<int64_t>& buffer_bytes() const { return *buffer_bytes_; }

  // Temporary buffers have ids from here on, persistent ones (common/plan) below.
  static constexpr int32_t kTemporaryBase = 1 << 16;

 private:
  BatchGeometry geometry_;
  RunInputs inputs_;
  std::vector<Entry> entries_;
  Temporaries buffer_bytes_;
};

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_NN_STEP_BUILDER_H_
