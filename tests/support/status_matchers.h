// ASSERT_OK, EXPECT_OK, ASSERT_OK_AND_ASSIGN and StatusIs(code, message matcher) for absl::Status
// and StatusOr.
#ifndef LOCKSTEP_TESTS_SUPPORT_STATUS_MATCHERS_H_
#define LOCKSTEP_TESTS_SUPPORT_STATUS_MATCHERS_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"

namespace lockstep::testing {

inline const absl::Status& ToStatus(const absl::Status& status) { return status; }
template <typename T>
const absl::Status& ToStatus(const absl::StatusOr<T>& status_or) {
  return status_or.status();
}

MATCHER(IsOk, "is OK") {
  *result_listener << ToStatus(arg);
  return ToStatus(arg).ok();
}

MATCHER_P2(StatusIs, code, message, "") {
  const absl::Status& status = ToStatus(arg);
  *result_listener << status;
  return status.code() == code && ::testing::Value(std::string(status.message()), message);
}

}  // namespace lockstep::testing

#define ASSERT_OK(expression) \
  ASSERT_THAT(::lockstep::testing::ToStatus(expression), ::lockstep::testing::IsOk())
#define EXPECT_OK(expression) \
  EXPECT_THAT(::lockstep::testing::ToStatus(expression), ::lockstep::testing::IsOk())
#define LOCKSTEP_TEST_JOIN_(a, b) a##b
#define LOCKSTEP_TEST_NAME_(a, b) LOCKSTEP_TEST_JOIN_(a, b)
#define ASSERT_OK_AND_ASSIGN(target, expression) \
  ASSERT_OK_AND_ASSIGN_IMPL_(LOCKSTEP_TEST_NAME_(test_or_, __LINE__), target, expression)
#define ASSERT_OK_AND_ASSIGN_IMPL_(holder, target, expression) \
  auto holder = (expression);                                  \
  ASSERT_OK(holder);                                           \
  target = *std::move(holder)

#endif  // LOCKSTEP_TESTS_SUPPORT_STATUS_MATCHERS_H_
