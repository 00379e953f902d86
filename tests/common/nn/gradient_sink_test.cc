#include "common/nn/gradient_sink.h"

#include "gmock/gmock.h"

#include "tests/common/nn/recorded_run.h"

namespace lockstep {
namespace {

using ::lockstep::testing::RecordedRun;
using ::testing::Each;

constexpr int64_t kElements = 3;
constexpr int64_t kCount = kElements * kernels::kBlockLanes;  // of one block

StepBuilder OneBlock() { return StepBuilder({.blocks = 1}, {}); }
std::vector<float> All(float value) { return std::vector<float>(kCount, value); }

// A kernel that writes or adds `value`, as a consumer's backward call does.
void RecordContribution(StepBuilder& builder, GradientSink::Target target, float value) {
  builder.Call({}, [=](const Binder& at) {
    float* const out = at.At(target.slice);
    return BoundCall{1, [=](kernels::UnitRange) {
                       for (int64_t k = 0; k < kCount; ++k) {
                         out[k] = target.accumulate ? out[k] + value : value;
                       }
                     }};
  });
}

TEST(GradientSink, HandsOnTheOnlyContributionWithoutACopy) {
  StepBuilder builder = OneBlock();
  const Slice d = builder.AllocateActivation(kElements);
  GradientSink sink(kElements, true);
  EXPECT_FALSE(sink.gradient().valid());

  sink.Pass(builder, d);

  EXPECT_EQ(sink.gradient(), d);
  EXPECT_TRUE(builder.entries().empty());
}

// (1e8 + 1) - 1e8 is 0 in f32; any other order gives 1.
TEST(GradientSink, AddsInTheOrderOfItsConsumers) {
  for (const bool passes : {false, true}) {
    StepBuilder builder = OneBlock();
    const float values[] = {1e8f, 1.0f, -1e8f};
    Slice contributions[3];
    GradientSink sink(kElements, true);
    for (int k = 0; k < 3; ++k) {
      if (passes) {
        contributions[k] = builder.AllocateActivation(kElements);
        sink.Pass(builder, contributions[k]);
      } else {
        RecordContribution(builder, sink.Write(builder), values[k]);
      }
    }

    RecordedRun run(builder);
    for (int k = 0; passes && k < 3; ++k) run.Fill(contributions[k], All(values[k]));
    run.Run();

    EXPECT_THAT(run.Values(sink.gradient(), kCount), Each(0.0f));
  }
}

// What Add passes on is the gradient of another tensor too.
TEST(GradientSink, NeverWritesWhatItHasBorrowed) {
  StepBuilder builder = OneBlock();
  const Slice borrowed = builder.AllocateActivation(kElements);
  const Slice also = builder.AllocateActivation(kElements);
  GradientSink written(kElements, true), added(kElements, true);
  written.Pass(builder, borrowed);
  RecordContribution(builder, written.Write(builder), 10.0f);
  added.Pass(builder, borrowed);
  added.Pass(builder, also);
  added.Pass(builder, also);

  RecordedRun run(builder);
  run.Fill(borrowed, All(1.0f));
  run.Fill(also, All(5.0f));
  run.Run();

  EXPECT_THAT(run.Values(written.gradient(), kCount), Each(11.0f));
  EXPECT_THAT(run.Values(added.gradient(), kCount), Each(11.0f));
  EXPECT_THAT(run.Values(borrowed, kCount), Each(1.0f));
  EXPECT_THAT(run.Values(also, kCount), Each(5.0f));
}

TEST(RecordAdd, AddsFromTheFirstInputOnAndCopiesOne) {
  StepBuilder builder = OneBlock();
  std::vector<Slice> inputs;
  for (int k = 0; k < 3; ++k) inputs.push_back(builder.AllocateActivation(kElements));
  const Slice sum = builder.AllocateActivation(kElements);
  const Slice copy = builder.AllocateActivation(kElements);
  RecordAdd(builder, {"sum", inputs, sum, kElements});
  RecordAdd(builder, {"copy", {inputs[1]}, copy, kElements});

  RecordedRun run(builder);
  run.Fill(inputs[0], All(1e8f));
  run.Fill(inputs[1], All(1.0f));
  run.Fill(inputs[2], All(-1e8f));
  run.Run();

  EXPECT_THAT(run.Values(sum, kCount), Each(0.0f));
  EXPECT_THAT(run.Values(copy, kCount), Each(1.0f));
}

}  // namespace
}  // namespace lockstep
