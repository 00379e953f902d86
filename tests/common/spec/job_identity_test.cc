#include "common/spec/job_identity.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/common/spec/job_text.h"
#include "tests/support/status_matchers.h"

namespace lockstep {
namespace {

using ::lockstep::testing::kSmallJob;
using ::lockstep::testing::LoadWith;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

JobSpec SmallJob() { return *LoadJobSpec(kSmallJob, "job.yaml", "/jobs"); }

TEST(CanonicalJson, HoldsEveryKeySortedWithItsDefaults) {
  EXPECT_EQ(
      ToCanonicalJson(SmallJob()),
      R"({"checkpoint":{"every":"60s","keep":3},"data":{"preprocess":{"offset":0,"scale":1},)"
      R"("train":{"format":)"
      R"("idx","options":{"inputs":"/jobs/x","targets":"/jobs/y"}}},"launcher":{"options":{},)"
      R"("type":"local"},"loss":{"dense":{"options":{},"type":"mean_squared_error"}},)"
      R"("loss_weights":{"dense":1},"metrics":[],"models":{"model":{"inputs":[{"name":)"
      R"("input_layer","shape":[4]}],"layers":[{"options":{"inputs":["input_layer"],"name":)"
      R"("dense","trainable":true,"units":2},"type":"dense"}],"outputs":["dense"]}},"name":"job",)"
      R"("optimizers":{"model":{"options":{},"type":"adam"}},"output":{"directory":"/jobs/out",)"
      R"("formats":["safetensors"]},"program":{"options":{},"type":"supervised"},)"
      R"("resources":{"threads":1,"workers":1},)"
      R"("train":{"batch_size":32,"class_weight":{},"seed":0,"shuffle":true}})");
}

TEST(CanonicalJson, IsAJobFileForTheSameJob) {
  for (const absl::string_view line :
       {"train: {seed: '18446744073709551615', steps: 9, epochs: 3, shards: 2}",
        "train: {class_weight: {0: 0.5, 7: 2}, shuffle: false}",
        "checkpoint: {every: 1500ms, keep: 1}", "checkpoint: {every_steps: 5}",
        "resources: {workers: 3, threads: 2, memory: 4GiB}",
        "data: {train: {format: npz, path: a, inputs: {x: y}}, validation_split: 0.25, "
        "preprocess: {scale: 0.00392156862745098, offset: -1}}",
        "data: {train: {format: idx, inputs: x}, validation: {format: idx, inputs: a}, test: "
        "{format: idx, inputs: b}}",
        "program: {gan: {noise: uniform}}", "metrics: [accuracy, {top_k: {k: 5}}]",
        "optimizer: {adam: {learning_rate: 1e-3}}"}) {
    ASSERT_OK_AND_ASSIGN(const JobSpec spec, LoadWith(line));
    const std::string json = ToCanonicalJson(spec);

    ASSERT_OK_AND_ASSIGN(const JobSpec back, LoadJobSpec(json, "job.json", "/elsewhere"));

    EXPECT_EQ(back, spec) << line;
    EXPECT_EQ(ToCanonicalJson(back), json) << line;
  }
}

TEST(JobIdentity, IgnoresWhatAResumedJobMayChange) {
  const std::string identity = CanonicalJobIdentity(SmallJob());

  for (const absl::string_view line :
       {"name: other", "train: {steps: 9}", "train: {epochs: 9}", "checkpoint: {every: 9s}",
        "resources: {workers: 3, threads: 2, memory: 4GiB}", "output: {directory: elsewhere}",
        "launcher: local", "train: {batch_size: 32}", "optimizer: {adam: {}}"}) {
    EXPECT_EQ(CanonicalJobIdentity(*LoadWith(line)), identity) << line;
  }
}

TEST(JobIdentity, NamesTheKeysThatDiffer) {
  const std::string identity = CanonicalJobIdentity(SmallJob());
  const auto differing = [&identity](absl::string_view line) {
    return DifferingKeys(identity, CanonicalJobIdentity(*LoadWith(line)));
  };

  EXPECT_THAT(DifferingKeys(identity, identity), IsEmpty());
  EXPECT_THAT(differing("train: {seed: 1}"), ElementsAre("train"));
  EXPECT_THAT(differing("optimizer: sgd"), ElementsAre("optimizers"));
  EXPECT_THAT(differing("metrics: [accuracy]"), ElementsAre("metrics"));
  EXPECT_THAT(differing("model: {input_shape: [4], layers: [{dense: {units: 3}}]}"),
              ElementsAre("models"));
  EXPECT_THAT(differing("model: {input_shape: [4], layers: [{dense: {units: 2, name: d}}]}"),
              ElementsAre("loss", "loss_weights", "models"));
  EXPECT_THAT(differing("data: {train: {format: idx, inputs: x, targets: z}}"),
              ElementsAre("data"));
  EXPECT_THAT(DifferingKeys("not: [json", R"({"a":1})"), ElementsAre("a"));
}

}  // namespace
}  // namespace lockstep
