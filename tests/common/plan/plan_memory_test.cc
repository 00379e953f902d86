#include "common/plan/plan_memory.h"

#include <algorithm>

#include "gmock/gmock.h"

#include "common/base/philox.h"
#include "tests/common/plan/planned_job.h"
#include "tests/support/status_matchers.h"

namespace lockstep {
namespace {

using ::lockstep::testing::kCnnJob;
using ::lockstep::testing::PlannedJob;
using ::lockstep::testing::ResidualJob;
using ::testing::ElementsAre;

bool Used(const LiveRange& range) { return range.first <= range.last; }

// Some used in one call, some in many, some never; sizes from 1 byte to a few KiB.
std::vector<LiveRange> RandomRanges(uint32_t seed) {
  std::vector<LiveRange> ranges;
  const uint32_t count = 1 + Philox({seed, 0, 0, 0}, 1)[0] % 60;
  for (uint32_t r = 0; r < count; ++r) {
    const PhiloxBlock words = Philox({seed, 1, r, 0}, 1);
    LiveRange range{.bytes = 1 + words[0] % 5000};
    if (words[1] % 10 != 0) {
      range.first = static_cast<int32_t>(words[2] % 40);
      range.last = range.first + static_cast<int32_t>(words[3] % 12);
    }
    ranges.push_back(range);
  }
  return ranges;
}

TEST(PlanMemory, PlacesNoTwoRangesAliveAtOnceOnTheSameBytes) {
  for (uint32_t seed = 0; seed < 300; ++seed) {
    const std::vector<LiveRange> ranges = RandomRanges(seed);

    const ArenaLayout layout = LayOutArena(ranges);

    ASSERT_EQ(layout.offsets.size(), ranges.size());
    for (size_t a = 0; a < ranges.size(); ++a) {
      if (!Used(ranges[a])) continue;
      EXPECT_EQ(layout.offsets[a] % kBufferAlignBytes, 0);
      EXPECT_LE(layout.offsets[a] + ranges[a].bytes, layout.bytes);
      for (size_t b = a + 1; b < ranges.size(); ++b) {
        const bool meet = Used(ranges[b]) && ranges[a].first <= ranges[b].last &&
                          ranges[b].first <= ranges[a].last;
        const bool apart = layout.offsets[a] + ranges[a].bytes <= layout.offsets[b] ||
                           layout.offsets[b] + ranges[b].bytes <= layout.offsets[a];
        EXPECT_TRUE(!meet || apart) << "seed " << seed << ": ranges " << a << " and " << b;
      }
    }
    EXPECT_GE(layout.bytes, ArenaLowerBound(ranges)) << "seed " << seed;
  }
}

TEST(PlanMemory, ReusesTheBytesOfWhatIsDead) {
  const std::vector<LiveRange> one_after_another = {{1000, 0, 1}, {1000, 2, 3}, {1000, 4, 4}};
  EXPECT_EQ(LayOutArena(one_after_another).bytes, 1024);

  const std::vector<LiveRange> neighbours = {{1000, 0, 1}, {1000, 1, 2}, {1000, 2, 3}};
  EXPECT_EQ(LayOutArena(neighbours).bytes, 2048) << "both ends of a range count";
}

TEST(PlanMemory, GivesNothingToWhatIsNeverUsed) {
  const ArenaLayout layout = LayOutArena({{.bytes = 1 << 20}, {64, 0, 0}});

  EXPECT_EQ(layout.bytes, 64);
  EXPECT_EQ(ArenaLowerBound({{.bytes = 1 << 20}}), 0);
}

// By counting the bytes of every call.
TEST(PlanMemory, BoundsTheArenaByTheFullestCall) {
  for (uint32_t seed = 0; seed < 50; ++seed) {
    const std::vector<LiveRange> ranges = RandomRanges(seed);
    int64_t fullest = 0;
    for (int32_t call = 0; call < 60; ++call) {
      int64_t alive = 0;
      for (const LiveRange& range : ranges) {
        const bool at_call = Used(range) && range.first <= call && call <= range.last;
        if (at_call) alive += (range.bytes + 63) / 64 * 64;
      }
      fullest = std::max(fullest, alive);
    }

    EXPECT_EQ(ArenaLowerBound(ranges), fullest) << "seed " << seed;
  }
}

TEST(PlanMemory, LearnsRangesFromWhatEveryCallAsksFor) {
  StepBuilder builder({}, {});
  const Slice first = builder.Allocate(100), second = builder.Allocate(200);
  const Slice unused = builder.Allocate(300);
  const Slice persistent{0, 0};
  const auto asks = [&](const std::vector<Slice>& slices) {
    builder.Call({}, [slices](const Binder& at) {
      for (const Slice slice : slices) at.At(slice);
      return BoundCall{};
    });
  };
  asks({persistent, first});
  asks({persistent});
  asks({first.Elements(3), second});
  builder.Collective({.partials = second, .result = persistent});

  const std::vector<LiveRange> ranges = LiveRangesOf({&builder}, 1);

  ASSERT_EQ(ranges.size(), 3u);
  EXPECT_THAT((std::vector<int64_t>{ranges[0].bytes, ranges[0].first, ranges[0].last}),
              ElementsAre(100, 0, 2));
  EXPECT_THAT((std::vector<int64_t>{ranges[1].bytes, ranges[1].first, ranges[1].last}),
              ElementsAre(200, 2, 3));
  EXPECT_FALSE(Used(ranges[static_cast<size_t>(unused.buffer - StepBuilder::kTemporaryBase)]));
}

// A list may be walked again when it has ended, so nothing may have taken the place of what it had
// from the one before.
TEST(PlanMemory, KeepsWhatAnEarlierListHasLeftToTheEndOfTheLaterOne) {
  const auto temporaries = std::make_shared<std::vector<int64_t>>();
  StepBuilder first({.blocks = 1}, {}, temporaries), second({.blocks = 1}, {}, temporaries);
  const auto asks = [](StepBuilder& builder, const Slice& slice) {
    builder.Call({}, [slice](const Binder& at) {
      at.At(slice);
      return BoundCall{};
    });
  };
  const Slice handed_on = first.Allocate(8), own = first.Allocate(8);
  asks(first, handed_on);
  asks(first, own);
  const Slice later = second.Allocate(8);
  asks(second, handed_on);
  asks(second, later);
  asks(second, later);

  const std::vector<LiveRange> ranges = LiveRangesOf({&first, &second}, 0);

  const auto ends = [](const LiveRange& range) {
    return std::vector<int32_t>{range.first, range.last};
  };
  ASSERT_EQ(ranges.size(), 3u);
  EXPECT_THAT(ends(ranges[0]), ElementsAre(0, 4));
  EXPECT_THAT(ends(ranges[1]), ElementsAre(1, 1));
  EXPECT_THAT(ends(ranges[2]), ElementsAre(3, 4));
}

// What a laptop must have of memory is near what it has to have.
TEST(PlanMemory, NeedsAtMostHalfAgainTheLowerBoundOnRealModels) {
  for (const std::string& job : {std::string(kCnnJob), ResidualJob()}) {
    ASSERT_OK_AND_ASSIGN(const PlannedJob planned, PlannedJob::Create(job));
    for (const int32_t workers : {1, 3, 8}) {
      const std::unique_ptr<StaticPlan> plan = planned.PlanFor(workers, 0);
      ASSERT_EQ(plan->train().size(), 1u);
      const PlannedPhase& phase = plan->train()[0];
      EXPECT_GT(phase.arena_lower_bound, 0);
      EXPECT_LE(2 * phase.arena.bytes, 3 * phase.arena_lower_bound)
          << workers << " workers, " << planned.graph().models[0].model->layers().size()
          << " layers";
    }
  }
}

}  // namespace
}  // namespace lockstep
