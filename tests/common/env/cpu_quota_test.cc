#include "common/env/cpu_quota.h"

#include <sched.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "common/env/file_system.h"
#include "common/env/host.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace lockstep {
namespace {

using ::lockstep::testing::TempDir;
using ::testing::Optional;

class CpuQuotaTest : public ::testing::Test {
 protected:
  void Put(const std::string& file, const std::string& text) {
    const std::string path = root_.File(file);
    ASSERT_OK(PosixFileSystem().MakeDirectories(ParentPath(path)));
    ASSERT_OK(ReplaceFileSynced(PosixFileSystem(), path, text));
  }
  std::optional<double> Quota(const std::string& own) { return CpuQuota(own, root_.path()); }
  const TempDir root_;
};

TEST_F(CpuQuotaTest, IsTheLeastOfVersionTwoAndThoseAbove) {
  Put("a/cpu.max", "150000 100000\n");
  Put("a/b/cpu.max", "max 100000\n");
  Put("a/b/c/cpu.max", "400000 100000\n");
  EXPECT_THAT(Quota("0::/a/b/c\n"), Optional(1.5));
  EXPECT_THAT(Quota("0::/a\n"), Optional(1.5));
  EXPECT_EQ(Quota("0::/other\n"), std::nullopt);
}

TEST_F(CpuQuotaTest, ReadsTheRootThatAContainerSees) {
  Put("cpu.max", "50000 100000\n");
  EXPECT_THAT(Quota("0::/\n"), Optional(0.5));
  EXPECT_THAT(Quota("0::/../elsewhere\n"), Optional(0.5));
}

TEST_F(CpuQuotaTest, ReadsVersionOneUnderEitherMount) {
  Put("cpu,cpuacct/docker/1/cpu.cfs_quota_us", "300000\n");
  Put("cpu,cpuacct/docker/1/cpu.cfs_period_us", "100000\n");
  EXPECT_THAT(Quota("7:memory:/docker/1\n4:cpu,cpuacct:/docker/1\n"), Optional(3.0));
  Put("cpu/cpu.cfs_quota_us", "-1\n");
  Put("cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(Quota("4:cpu:/docker/2\n"), std::nullopt);
  Put("cpu/cpu.cfs_quota_us", "200000\n");
  EXPECT_THAT(Quota("4:cpu:/docker/2\n"), Optional(2.0));
}

TEST_F(CpuQuotaTest, RubbishLimitsNothing) {
  Put("cpu.max", "lots of it\n");
  EXPECT_EQ(Quota("0::/\n"), std::nullopt);
  EXPECT_EQ(Quota("rubbish\n::\n"), std::nullopt);
  EXPECT_EQ(Quota(""), std::nullopt);
}

TEST(UsableCores, AreAtLeastOneAndNoMoreThanTheAffinityMaskHolds) {
  cpu_set_t before;
  ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
  EXPECT_GE(UsableCores(), 1);
  EXPECT_LE(UsableCores(), CPU_COUNT(&before));
  cpu_set_t one;
  CPU_ZERO(&one);
  for (int cpu = 0; CPU_COUNT(&one) == 0; ++cpu) {
    if (CPU_ISSET(cpu, &before)) CPU_SET(cpu, &one);
  }
  ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
  EXPECT_EQ(UsableCores(), 1);
  ASSERT_EQ(sched_setaffinity(0, sizeof(before), &before), 0);
}

}  // namespace
}  // namespace lockstep
