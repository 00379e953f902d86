// The vectors of numerics.json against noise and a whole small GAN; see functions_golden_test.cc.
#include <bit>

#include "gtest/gtest.h"

#include "common/base/philox.h"
#include "common/kernels/simd_target.h"
#include "common/nn/noise.h"
#include "tests/golden/golden_file.h"
#include "tests/support/memory_dataset.h"
#include "tests/support/status_matchers.h"
#include "tests/support/training_run.h"

namespace lockstep {
namespace {

using ::lockstep::testing::Golden;
using ::lockstep::testing::MakeColumn;
using ::lockstep::testing::Numerics;
using ::lockstep::testing::RecordingObserver;
using ::lockstep::testing::RunTraining;
using ::lockstep::testing::TrainingRunOptions;
using ::lockstep::testing::TrainingRunResult;

// Addresses for the persistent places 0 to 2 and one temporary.
class TestBinder final : public Binder {
 public:
  explicit TestBinder(std::vector<void*> addresses) : addresses_(std::move(addresses)) {}

 protected:
  void* Resolve(Slice slice) const override {
    const bool temporary = slice.buffer >= StepBuilder::kTemporaryBase;
    return temporary ? addresses_.back() : addresses_[static_cast<size_t>(slice.buffer)];
  }

 private:
  std::vector<void*> addresses_;
};

// The noise of a case's positions, row by row. The positions stand in the second block.
std::vector<uint32_t> NoiseOf(const Golden& c, bool fixed) {
  const uint64_t seed = c.word("seed");
  auto step = static_cast<int64_t>(c.word("step"));
  const int64_t elements = c.integer("elements");
  StepBuilder builder({.blocks = 2},
                      {.batch_position = {0, 0},
                       .step = {1, 0},
                       .noise_key = RandomKey(seed, RandomPurpose::kNoise),
                       .fixed_noise_key = RandomKey(seed, RandomPurpose::kFixedNoise)});
  RecordNoise(builder,
              {.label = "z",
               .kind = c.text("kind") == "normal" ? NoiseKind::kNormal : NoiseKind::kUniform,
               .elements = elements,
               .source = static_cast<uint32_t>(c.integer("call")),
               .fixed = fixed});
  const std::vector<int64_t> positions = c.integers("positions");
  std::vector<int32_t> batch_position(2 * kernels::kBlockLanes, 0);
  std::copy(positions.begin(), positions.end(), batch_position.begin() + kernels::kBlockLanes);
  std::vector<float> out(static_cast<size_t>(2 * kernels::kBlockLanes * elements));
  const TestBinder binder({batch_position.data(), &step, out.data()});
  const BoundCall call = builder.entries()[0].bind(binder);
  for (int64_t unit = 0; unit < call.units; ++unit) call.run({unit, unit + 1});
  std::vector<uint32_t> bits;
  for (size_t p = 0; p < positions.size(); ++p) {
    for (int64_t e = 0; e < elements; ++e) {
      bits.push_back(std::bit_cast<uint32_t>(
          out[static_cast<size_t>((elements + e) * kernels::kBlockLanes) + p]));
    }
  }
  return bits;
}

std::vector<uint32_t> Bits(const std::vector<float>& values) {
  std::vector<uint32_t> bits;
  for (const float value : values) bits.push_back(std::bit_cast<uint32_t>(value));
  return bits;
}

TEST(GoldenNoise, IsAFunctionOfItsPlace) {
  for (const Golden& c : Numerics().cases("noise")) {
    EXPECT_EQ(NoiseOf(c, /*fixed=*/false), Bits(c.floats("values"))) << c.text("kind");
    EXPECT_EQ(NoiseOf(c, /*fixed=*/true), Bits(c.floats("fixed"))) << c.text("kind");
  }
}

std::vector<uint64_t> LossesOf(const RecordingObserver& observer, size_t metric) {
  std::vector<uint64_t> losses;
  for (const EpochReport& epoch : observer.epochs) {
    losses.push_back(std::bit_cast<uint64_t>(epoch.metrics[metric].second));
  }
  return losses;
}

// Noise, dropout's calls over both phases, the discriminator's one gradient of two passes, the
// halves, the generator's gradient through the updated discriminator, two optimizers.
TEST(GoldenGan, TrainsForAnyCountOfWorkers) {
  const Golden c = Numerics().at("hash").at("gan");
  const std::vector<int64_t> images = c.integers("images");
  Dataset data;
  data.count = std::ssize(images) / 4;
  data.inputs.push_back(
      MakeColumn("image", Shape{4}, std::vector<uint8_t>(images.begin(), images.end())));
  for (const absl::string_view simd : kernels::SupportedSimd()) {
    const kernels::ScopedSimdForTest forced(simd);
    for (int ranks = 1; ranks <= 4; ++ranks) {
      RecordingObserver observer;
      TrainingRunOptions options;
      options.job = c.text("yaml");
      options.train = &data;
      options.ranks = ranks;
      options.observer = &observer;

      ASSERT_OK_AND_ASSIGN(const TrainingRunResult result, RunTraining(options));

      EXPECT_EQ(result.model_sha256, c.text("trained_sha256")) << simd << ", " << ranks << " ranks";
      EXPECT_EQ(observer.start.metric_names,
                (std::vector<std::string>{"loss", "d_loss", "g_loss"}));
      EXPECT_EQ(LossesOf(observer, 1), c.words("d_losses")) << simd << ", " << ranks << " ranks";
      EXPECT_EQ(LossesOf(observer, 2), c.words("g_losses")) << simd << ", " << ranks << " ranks";
    }
  }
}

}  // namespace
}  // namespace lockstep
