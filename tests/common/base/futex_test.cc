#include "common/base/futex.h"

#include "gmock/gmock.h"

#include "common/base/thread.h"

namespace lockstep {
namespace {

TEST(Futex, ReturnsWhenTheLimitHasPassed) {
  const Futex futex;

  futex.WaitWhile(0, Spin::kNone, absl::Milliseconds(1));

  EXPECT_EQ(futex.Load(), 0u);
}

TEST(Futex, ShowsWhatWasWrittenBeforeTheChange) {
  for (const Spin spin : {Spin::kNone, Spin::kBrief}) {
    Futex ping, pong;
    int value = 0;
    Thread other("other", [&] {
      for (uint32_t turn = 0; turn < 1000; ++turn) {
        while (ping.Load() == turn) ping.WaitWhile(turn, spin, absl::InfiniteDuration());
        ++value;
        pong.StoreAndWake(turn + 1);
      }
    });

    for (uint32_t turn = 0; turn < 1000; ++turn) {
      ++value;
      EXPECT_EQ(ping.AddAndWake(1), turn + 1);
      while (pong.Load() == turn) pong.WaitWhile(turn, spin, absl::InfiniteDuration());
    }

    EXPECT_EQ(value, 2000);
  }
}

}  // namespace
}  // namespace lockstep
