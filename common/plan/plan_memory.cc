#include "common/plan/plan_memory.h"

#include <algorithm>
#include <numeric>

#include "common/base/check.h"

namespace lockstep {
namespace {

int64_t Aligned(int64_t bytes) {
  return (bytes + kBufferAlignBytes - 1) / kBufferAlignBytes * kBufferAlignBytes;
}

bool Used(const LiveRange& range) { return range.first <= range.last; }

bool Overlaps(const LiveRange& a, const LiveRange& b) {
  return a.first <= b.last && b.first <= a.last;
}

// Notes which temporaries a call asks for. The addresses are only carried along, never read.
class RecordingBinder final : public Binder {
 public:
  RecordingBinder(std::vector<LiveRange>& ranges, size_t persistent_count)
      : ranges_(ranges), persistent_count_(persistent_count) {}
  void set_call(int32_t call) { call_ = call; }

 protected:
  void* Resolve(Slice slice) const override {
    if (slice.buffer >= StepBuilder::kTemporaryBase) {
      LiveRange& range = ranges_[static_cast<size_t>(slice.buffer - StepBuilder::kTemporaryBase)];
      if (!Used(range)) range.first = call_;
      range.last = call_;
    } else {
      LOCKSTEP_CHECK(static_cast<size_t>(slice.buffer) < persistent_count_);
    }
    return &unread_;
  }

 private:
  std::vector<LiveRange>& ranges_;
  size_t persistent_count_;
  int32_t call_ = 0;
  alignas(kBufferAlignBytes) mutable std::byte unread_[kBufferAlignBytes] = {};
};

}  // namespace

ArenaLayout LayOutArena(const std::vector<LiveRange>& ranges) {
  std::vector<size_t> order(ranges.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return ranges[a].bytes > ranges[b].bytes; });
  ArenaLayout layout{.offsets = std::vector<int64_t>(ranges.size(), 0)};
  std::vector<size_t> placed;  // by offset
  for (const size_t r : order) {
    if (!Used(ranges[r])) continue;
    const int64_t bytes = Aligned(ranges[r].bytes);
    int64_t offset = 0;
    for (const size_t other : placed) {
      if (!Overlaps(ranges[r], ranges[other])) continue;
      if (offset + bytes <= layout.offsets[other]) break;
      offset = std::max(offset, layout.offsets[other] + Aligned(ranges[other].bytes));
    }
    layout.offsets[r] = offset;
    layout.bytes = std::max(layout.bytes, offset + bytes);
    placed.insert(
        std::upper_bound(placed.begin(), placed.end(), r,
                         [&](size_t a, size_t b) { return layout.offsets[a] < layout.offsets[b]; }),
        r);
  }
  return layout;
}

int64_t ArenaLowerBound(const std::vector<LiveRange>& ranges) {
  int64_t bound = 0;
  for (const LiveRange& at : ranges) {
    if (!Used(at)) continue;
    int64_t alive = 0;
    for (const LiveRange& range : ranges) {
      if (Used(range) && range.first <= at.first && at.first <= range.last) {
        alive += Aligned(range.bytes);
      }
    }
    bound = std::max(bound, alive);
  }
  return bound;
}

std::vector<LiveRange> LiveRangesOf(absl::Span<const StepBuilder* const> lists,
                                    size_t persistent_count) {
  std::vector<LiveRange> ranges;
  if (lists.empty()) return ranges;
  for (const int64_t bytes : lists[0]->buffer_bytes()) ranges.push_back({.bytes = bytes});
  RecordingBinder binder(ranges, persistent_count);
  int32_t call = 0;
  for (const StepBuilder* list : lists) {
    LOCKSTEP_CHECK(&list->buffer_bytes() == &lists[0]->buffer_bytes());  // one numbering
    const int32_t begin = call;
    for (const StepBuilder::Entry& entry : list->entries()) {
      binder.set_call(call++);
      if (entry.kind == StepBuilder::Entry::Kind::kCall) {
        entry.bind(binder);
      } else {
        binder.At(entry.collective.partials);
        binder.At(entry.collective.result);
      }
    }
    for (LiveRange& range : ranges) {
      if (Used(range) && range.first < begin && range.last >= begin) range.last = call - 1;
    }
  }
  return ranges;
}

}  // namespace lockstep
