#include "common/base/bounded_queue.h"

#include "gmock/gmock.h"

#include "common/base/thread.h"

namespace lockstep {
namespace {

TEST(BoundedQueue, GivesMessagesInOrderAndRefusesOneTooMany) {
  BoundedQueue<int> queue(2);

  EXPECT_TRUE(queue.TryPush(1));
  EXPECT_TRUE(queue.TryPush(2));
  EXPECT_FALSE(queue.TryPush(3));

  EXPECT_EQ(queue.TryPop(), 1);
  EXPECT_TRUE(queue.TryPush(4));
  EXPECT_EQ(queue.Pop(), 2);
  EXPECT_EQ(queue.Pop(), 4);
  EXPECT_EQ(queue.TryPop(), std::nullopt);
}

TEST(BoundedQueue, GivesWhatIsLeftAfterItIsClosed) {
  BoundedQueue<int> queue(2);
  ASSERT_TRUE(queue.TryPush(1));

  queue.Close();

  EXPECT_FALSE(queue.TryPush(2));
  EXPECT_EQ(queue.Pop(), 1);
  EXPECT_EQ(queue.Pop(), std::nullopt);
}

TEST(BoundedQueue, WakesAWaitingReader) {
  BoundedQueue<int> queue(1);
  int seen = 0;
  {
    Thread reader("reader", [&] {
      while (const std::optional<int> message = queue.Pop()) seen += *message;
    });
    for (int sent = 0; sent < 100;) sent += queue.TryPush(1) ? 1 : 0;
    queue.Close();
  }
  EXPECT_EQ(seen, 100);
}

}  // namespace
}  // namespace lockstep
