#include "worker/train/step_executor.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"

#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "common/kernels/batch_norm.h"
#include "worker/comm/tree_exchange.h"

namespace lockstep {
namespace {

class AddressBinder final : public Binder {
 public:
  AddressBinder(const std::vector<std::byte*>& persistent, std::byte* arena,
                const std::vector<int64_t>& offsets)
      : persistent_(persistent), arena_(arena), offsets_(offsets) {}

 protected:
  void* Resolve(Slice slice) const override {
    if (slice.buffer < StepBuilder::kTemporaryBase) {
      return persistent_[static_cast<size_t>(slice.buffer)] + slice.offset_bytes;
    }
    const auto temporary = static_cast<size_t>(slice.buffer - StepBuilder::kTemporaryBase);
    return arena_ + offsets_[temporary] + slice.offset_bytes;
  }

 private:
  const std::vector<std::byte*>& persistent_;
  std::byte* arena_;
  const std::vector<int64_t>& offsets_;
};

int64_t Aligned(int64_t bytes) {
  return (bytes + kBufferAlignBytes - 1) / kBufferAlignBytes * kBufferAlignBytes;
}

}  // namespace

absl::StatusOr<std::unique_ptr<StepExecutor>> StepExecutor::Create(const StaticPlan& plan,
                                                                   Communicator& communicator,
                                                                   ComputePool& pool) {
  std::unique_ptr<StepExecutor> executor(new StepExecutor(plan, communicator, pool));
  LOCKSTEP_RETURN_IF_ERROR(executor->Allocate());
  for (const PlannedPhase& phase : plan.train()) {
    executor->train_.push_back(executor->Bind(phase));
  }
  for (const PlannedEvaluation& evaluation : plan.evaluations()) {
    executor->evaluations_.push_back(executor->Bind(evaluation.phase));
  }
  if (plan.pictures().has_value()) executor->pictures_ = executor->Bind(plan.pictures()->phase);
  return executor;
}

absl::Status StepExecutor::Allocate() {
  int64_t private_bytes = Aligned(plan_.arena_bytes());
  for (const PersistentBuffer& buffer : plan_.persistent()) {
    if (!buffer.shared) private_bytes += Aligned(buffer.bytes);
  }
  LOCKSTEP_ASSIGN_OR_RETURN(arena_, Arena::Create(private_bytes));
  std::byte* next = arena_->data() + Aligned(plan_.arena_bytes());
  for (const PersistentBuffer& buffer : plan_.persistent()) {
    shared_index_.push_back(shared_.size());
    if (buffer.shared) {
      LOCKSTEP_ASSIGN_OR_RETURN(SharedBuffer shared,
                                communicator_.AllocateShared(Aligned(buffer.bytes)));
      persistent_.push_back(shared.data());
      shared_.push_back(std::move(shared));
    } else {
      persistent_.push_back(next);
      next += Aligned(buffer.bytes);
    }
  }
  return absl::OkStatus();
}

StepExecutor::BoundList StepExecutor::Bind(const PlannedPhase& phase) {
  const AddressBinder binder(persistent_, arena_->data(), phase.arena.offsets);
  BoundList list;
  for (const StepBuilder::Entry& entry : phase.phase.builder->entries()) {
    BoundEntry bound{.entry = &entry};
    if (entry.kind == StepBuilder::Entry::Kind::kCall) {
      bound.call = entry.bind(binder);
      bound.checked = entry.info.features > 0 ? binder.At(entry.info.checked) : nullptr;
    } else {
      bound.partials = binder.At<std::byte>(entry.collective.partials);
      bound.result = binder.At<std::byte>(entry.collective.result);
    }
    list.push_back(std::move(bound));
  }
  return list;
}

absl::Status StepExecutor::Run(const BoundList& list, std::optional<NonFinite>* finding) {
  for (const BoundEntry& entry : list) {
    LOCKSTEP_RETURN_IF_ERROR(RunEntry(entry));
    if (finding != nullptr) Check(list, &entry - list.data(), *finding);
  }
  return absl::OkStatus();
}

absl::Status StepExecutor::RunTimed(size_t phase, const Clock& clock, absl::Span<double> seconds) {
  const BoundList& list = train_[phase];
  LOCKSTEP_CHECK(seconds.size() == list.size());
  absl::Duration before = clock.Monotonic();
  for (size_t e = 0; e < list.size(); ++e) {
    LOCKSTEP_RETURN_IF_ERROR(RunEntry(list[e]));
    const absl::Duration after = clock.Monotonic();
    seconds[e] += absl::ToDoubleSeconds(after - before);
    before = after;
  }
  return absl::OkStatus();
}

absl::Status StepExecutor::RunEntry(const BoundEntry& entry) {
  if (entry.entry->kind == StepBuilder::Entry::Kind::kCollective) return RunCollective(entry);
  pool_.Run(entry.call.units, [&](int64_t begin, int64_t end) { entry.call.run({begin, end}); });
  return absl::OkStatus();
}

absl::Status StepExecutor::RunCollective(const BoundEntry& entry) {
  const CollectiveCall& call = entry.entry->collective;
  switch (call.kind) {
    case CollectiveKind::kSumFloats:
      return TreeExchange<float>(
          communicator_, reinterpret_cast<const float*>(entry.partials), call.count,
          [](float a, float b) { return a + b; }, reinterpret_cast<float*>(entry.result));
    case CollectiveKind::kMergeMoments:
      return TreeExchange<kernels::Moments>(
          communicator_, reinterpret_cast<const kernels::Moments*>(entry.partials), call.count,
          &kernels::MergeMoments, reinterpret_cast<kernels::Moments*>(entry.result));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<NonFinite>> StepExecutor::RunChecked(const BoundList& list) {
  std::optional<NonFinite> finding;
  LOCKSTEP_RETURN_IF_ERROR(Run(list, &finding));
  return finding;
}

void StepExecutor::Check(const BoundList& list, int64_t index,
                         std::optional<NonFinite>& finding) const {
  const BoundEntry& entry = list[static_cast<size_t>(index)];
  if (finding.has_value() || entry.checked == nullptr) return;
  const BatchGeometry& geometry = plan_.slices().geometry;
  const int32_t* const counts = At<int32_t>(plan_.slices().run_inputs.shard_count);
  for (int64_t shard = 0; shard < geometry.shards; ++shard) {
    for (int64_t k = 0; k < counts[shard]; ++k) {
      const int64_t slot = shard * geometry.shard_slots + k;
      const float* const first =
          entry.checked +
          slot / kernels::kBlockLanes * entry.entry->info.features * kernels::kBlockLanes +
          slot % kernels::kBlockLanes;
      for (int64_t f = 0; f < entry.entry->info.features; ++f) {
        if (std::isfinite(first[f * kernels::kBlockLanes])) continue;
        finding = NonFinite{.index = index, .call = entry.entry->info.label, .slot = slot};
        return;
      }
    }
  }
}

}  // namespace lockstep
