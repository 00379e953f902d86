#include "common/base/background_worker.h"

#include <atomic>

#include "gmock/gmock.h"

namespace lockstep {
namespace {

TEST(BackgroundWorker, RunsOneTaskAtATimeAndRefusesASecond) {
  BackgroundWorker worker("test");
  std::atomic<bool> go = false;
  int value = 0;
  EXPECT_FALSE(worker.busy());

  ASSERT_TRUE(worker.TryStart([&] {
    go.wait(false);
    value = 1;
  }));
  EXPECT_TRUE(worker.busy());
  EXPECT_FALSE(worker.TryStart([&] { value = 2; }));
  go = true;
  go.notify_all();
  worker.Wait();

  EXPECT_EQ(value, 1);
  EXPECT_FALSE(worker.busy());
  EXPECT_TRUE(worker.TryStart([&] { value = 3; }));
  worker.Wait();
  EXPECT_EQ(value, 3);
}

TEST(BackgroundWorker, FinishesItsTaskBeforeItEnds) {
  int value = 0;
  {
    BackgroundWorker worker("test");
    ASSERT_TRUE(worker.TryStart([&] { value = 1; }));
  }
  EXPECT_EQ(value, 1);
}

}  // namespace
}  // namespace lockstep
