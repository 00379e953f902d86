#include "common/spec/job_spec.h"

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/common/spec/job_text.h"
#include "tests/support/status_matchers.h"

namespace lockstep {
namespace {

using ::lockstep::testing::kSmallJob;
using ::lockstep::testing::LoadWith;
using ::lockstep::testing::LoadWithout;
using ::lockstep::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::StartsWith;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

std::string RefusalWith(absl::string_view line) {
  return std::string(LoadWith(line).status().message());
}

constexpr absl::string_view kFullJob = R"(
name: fashion-cnn
model:
  layers: [{conv2d: {filters: 32, kernel_size: 3, activation: relu}}, max_pooling2d, flatten,
           {dense: {units: 128, activation: relu}}, {dense: {units: 10, activation: softmax}}]
  input_shape: [28, 28, 1]
program: supervised
data:
  train:      {format: idx, inputs: train-images-idx3-ubyte.gz, targets: train-labels-idx1-ubyte.gz}
  validation: {format: npz, path: val.npz, inputs: x, targets: y, sample_weights: w}
  test:       {format: idx, inputs: {input_layer: /data/t10k.gz}, targets: t10k-labels.gz}
  preprocess: {scale: 0.00392156862745098}
train: {batch_size: 64, epochs: 5, steps: 900, shuffle: false, seed: 7, shards: 4,
        class_weight: {0: 1.0, 3: 0.5}}
loss: {sparse_categorical_crossentropy: {from_logits: false}}
optimizer: {adam: {learning_rate: 0.001}}
metrics: [accuracy]
callbacks: []
checkpoint: {every: 60s, keep: 5}
resources: {workers: 2, threads: 3, memory: 4GiB}
launcher: local
output: {directory: out, formats: [safetensors]}
)";

TEST(JobSpec, HoldsEveryKeyOfTheJobFile) {
  ASSERT_OK_AND_ASSIGN(const JobSpec spec, LoadJobSpec(kFullJob, "job.yaml", "/jobs"));

  EXPECT_EQ(spec.name(), "fashion-cnn");
  EXPECT_EQ(spec.program().type, "supervised");
  ASSERT_EQ(spec.models().size(), 1u);
  EXPECT_EQ(spec.models()[0].layers[4].name, "dense_1");
  EXPECT_EQ(spec.models()[0].layers[0].options.Find("filters")->int_value(), 32);
  EXPECT_EQ(spec.models()[0].inputs[0].shape, (Shape{28, 28, 1}));
  EXPECT_EQ(spec.data().scale, 0.00392156862745098);
  EXPECT_EQ(spec.data().offset, 0);
  EXPECT_EQ(spec.train().batch_size, 64);
  EXPECT_EQ(spec.train().epochs, 5);
  EXPECT_EQ(spec.train().steps, 900);
  EXPECT_FALSE(spec.train().shuffle);
  EXPECT_EQ(spec.train().seed, 7u);
  EXPECT_EQ(spec.shards(), 4);
  EXPECT_THAT(spec.train().class_weight, ElementsAre(Pair(0, 1.0), Pair(3, 0.5)));
  ASSERT_EQ(spec.losses().size(), 1u);
  EXPECT_EQ(spec.losses()[0].output, "dense_1");
  EXPECT_EQ(spec.losses()[0].loss.type, "sparse_categorical_crossentropy");
  EXPECT_EQ(spec.optimizers()[0].model, "model");
  EXPECT_EQ(spec.optimizers()[0].optimizer.options.Find("learning_rate")->number(), 0.001);
  EXPECT_EQ(spec.metrics()[0].type, "accuracy");
  EXPECT_EQ(spec.checkpoint().every, absl::Seconds(60));
  EXPECT_EQ(spec.checkpoint().keep, 5);
  EXPECT_EQ(spec.resources().workers, 2);
  EXPECT_EQ(spec.resources().threads, 3);
  EXPECT_EQ(spec.resources().memory_bytes, int64_t{4} << 30);
  EXPECT_EQ(spec.launcher().type, "local");
  EXPECT_EQ(spec.output().directory, "/jobs/out");
  EXPECT_THAT(spec.output().formats, ElementsAre("safetensors"));
}

TEST(JobSpec, TakesAProgramWithOptions) {
  ASSERT_OK_AND_ASSIGN(const JobSpec spec, LoadWith("program: {gan: {noise: uniform}}"));

  EXPECT_EQ(spec.program().type, "gan");
  ASSERT_NE(spec.program().options.Find("noise"), nullptr);
  EXPECT_EQ(spec.program().options.Find("noise")->string(), "uniform");
  EXPECT_EQ(spec.program().OptionsWhere(), "program.gan");
  EXPECT_THAT(LoadWith("program: [gan]"), StatusIs(kInvalid, HasSubstr("program")));
}

TEST(JobSpec, HasTheDefaultsOfKeras) {
  ASSERT_OK_AND_ASSIGN(const JobSpec spec, LoadJobSpec(kSmallJob, "job.yaml", "/jobs"));

  EXPECT_EQ(spec.name(), "job");
  EXPECT_EQ(spec.program().type, "supervised");
  EXPECT_EQ(spec.train(), TrainSpec{});
  EXPECT_EQ(spec.train().batch_size, 32);
  EXPECT_EQ(spec.train().epochs_max(), 1);
  EXPECT_TRUE(spec.train().shuffle);
  EXPECT_EQ(spec.shards(), 8);
  EXPECT_EQ(spec.losses()[0].weight, 1.0);
  EXPECT_EQ(spec.checkpoint(), CheckpointSpec{.every = absl::Seconds(60)});
  EXPECT_EQ(spec.resources(), ResourcesSpec{});
  EXPECT_EQ(spec.launcher().type, "local");
}

TEST(JobSpec, ResolvesPathsAgainstTheJobFile) {
  ASSERT_OK_AND_ASSIGN(const JobSpec spec, LoadJobSpec(kFullJob, "job.yaml", "/jobs"));

  const DataSpec& data = spec.data();
  EXPECT_EQ(data.train.options.Find("inputs")->string(), "/jobs/train-images-idx3-ubyte.gz");
  EXPECT_EQ(data.train.options.Find("targets")->string(), "/jobs/train-labels-idx1-ubyte.gz");
  EXPECT_EQ(data.test->options.Find("inputs")->Find("input_layer")->string(), "/data/t10k.gz");
  EXPECT_EQ(data.validation->options.Find("path")->string(), "/jobs/val.npz");
  EXPECT_EQ(data.validation->options.Find("inputs")->string(), "x");  // a name inside the file
  EXPECT_EQ(data.validation->options.Find("sample_weights")->string(), "w");
}

TEST(JobSpec, ReadsTheFormatApartFromItsOptions) {
  ASSERT_OK_AND_ASSIGN(const JobSpec flat,
                       LoadWith("data: {train: {format: idx, inputs: x, targets: y}}"));
  ASSERT_OK_AND_ASSIGN(const JobSpec node,
                       LoadWith("data: {train: {format: idx, options: {inputs: x, targets: y}}}"));

  EXPECT_EQ(flat, node);
  EXPECT_EQ(flat.data().train.type, "idx");
  EXPECT_EQ(flat.data().train.options.Find("format"), nullptr);
  EXPECT_EQ(RefusalWith("data: {train: {inputs: x}}"),
            "job.yaml:2:15: data.train: has no 'format'; write {format: idx, inputs: FILE, ...}");
}

TEST(JobSpec, NamesUnknownKeysEverywhere) {
  EXPECT_EQ(RefusalWith("optimiser: adam"),
            "job.yaml:5:1: optimiser: unknown option; did you mean 'optimizer' or 'optimizers'?");
  EXPECT_THAT(RefusalWith("train: {batchsize: 3}"),
              HasSubstr("train.batchsize: unknown option; did you mean 'batch_size'?"));
  EXPECT_THAT(RefusalWith("data: {training: {format: idx}}"), HasSubstr("data.training: unknown"));
  EXPECT_THAT(RefusalWith("checkpoint: {evry: 3s}"), HasSubstr("did you mean 'every'"));
  EXPECT_THAT(RefusalWith("resources: {worker: 3}"), HasSubstr("did you mean 'workers'?"));
  EXPECT_THAT(RefusalWith("output: {dir: x}"), HasSubstr("did you mean 'directory'?"));
  EXPECT_THAT(RefusalWith("launcher: {local: {slots: 3}}"),
              HasSubstr("launcher.local.slots: unknown option"));
}

TEST(JobSpec, NeedsModelDataLossAndOptimizer) {
  EXPECT_OK(LoadJobSpec(kSmallJob, "job.yaml", ""));
  EXPECT_THAT(LoadWithout("model"), StatusIs(kInvalid, HasSubstr("give 'model' or 'models'")));
  EXPECT_THAT(LoadWithout("data"), StatusIs(kInvalid, HasSubstr("'data' is missing")));
  EXPECT_THAT(LoadWithout("loss"), StatusIs(kInvalid, HasSubstr("loss: is missing; name one")));
  EXPECT_THAT(LoadWithout("optimizer"), StatusIs(kInvalid, HasSubstr("optimizer: is missing")));
  EXPECT_THAT(RefusalWith("data: {}"), HasSubstr("data: 'train' is missing"));
  EXPECT_THAT(LoadJobSpec("[1]", "job.yaml", ""),
              StatusIs(kInvalid, "job.yaml:1:1: is a list of 1; it takes a map of options"));
}

TEST(JobSpec, KeepsSizesInTheirRange) {
  EXPECT_OK(LoadWith("train: {batch_size: 1}"));
  EXPECT_EQ(RefusalWith("train: {batch_size: 0}"),
            "job.yaml:5:21: train.batch_size: 0 is too small; use 1 or more");
  EXPECT_OK(LoadWith("train: {batch_size: 1048576}"));
  EXPECT_THAT(RefusalWith("train: {batch_size: 1048577}"), HasSubstr("1048577 is too large"));
  EXPECT_THAT(RefusalWith("train: {epochs: 0}"), HasSubstr("0 is too small"));
  EXPECT_THAT(RefusalWith("train: {epochs: 2147483648}"), HasSubstr("2147483648 is too large"));
  EXPECT_THAT(RefusalWith("train: {steps: 0}"), HasSubstr("train.steps: is int 0; use an int"));
  EXPECT_THAT(RefusalWith("train: {seed: -1}"), HasSubstr("train.seed: is int -1"));
  EXPECT_THAT(RefusalWith("train: {shuffle: 1}"), HasSubstr("it takes true or false"));
  EXPECT_OK(LoadWith("resources: {workers: 65536, threads: 4096}"));
  EXPECT_THAT(RefusalWith("resources: {workers: 65537}"), HasSubstr("65537 is too large"));
  EXPECT_THAT(RefusalWith("resources: {threads: -2}"), HasSubstr("-2 is too small"));
  EXPECT_THAT(RefusalWith("resources: {memory: 99999999999GiB}"), HasSubstr("resources.memory"));
  EXPECT_THAT(RefusalWith("checkpoint: {keep: 0}"), HasSubstr("0 is too small"));
}

TEST(JobSpec, TakesShardsThatAreAPowerOfTwo) {
  ASSERT_OK_AND_ASSIGN(const JobSpec spec, LoadWith("train: {shards: 16}"));
  EXPECT_EQ(spec.shards(), 16);
  EXPECT_OK(LoadWith("train: {shards: auto}"));
  EXPECT_EQ(RefusalWith("train: {shards: 12}"),
            "job.yaml:5:17: train.shards: is int 12; use auto or a power of two from 1 to 1048576");
  EXPECT_THAT(RefusalWith("train: {shards: 0}"), HasSubstr("is int 0"));
  EXPECT_THAT(RefusalWith("train: {shards: -8}"), HasSubstr("is int -8"));
  EXPECT_THAT(RefusalWith("train: {shards: 2097152}"), HasSubstr("is int 2097152"));
  EXPECT_THAT(RefusalWith("train: {shards: many}"), HasSubstr("is string 'many'"));
}

TEST(ShardsFor, FollowsTheFormula) {
  const std::pair<int64_t, int64_t> kCases[] = {{1, 1},   {4, 1},    {8, 2},     {15, 2},
                                                {16, 4},  {31, 4},   {32, 8},    {255, 8},
                                                {256, 8}, {512, 16}, {1000, 16}, {1024, 32}};
  for (const auto& [batch, shards] : kCases) EXPECT_EQ(ShardsFor(batch), shards) << batch;
}

TEST(JobSpec, EndsByEpochsOrSteps) {
  EXPECT_EQ(LoadWith("train: {epochs: 5}")->train().epochs_max(), 5);
  EXPECT_EQ(LoadWith("train: {epochs: 5, steps: 9}")->train().epochs_max(), 5);
  EXPECT_GT(LoadWith("train: {steps: 9}")->train().epochs_max(), 1'000'000'000);
  EXPECT_EQ(LoadWith("train: {seed: '18446744073709551615'}")->train().seed, ~uint64_t{0});
}

TEST(JobSpec, ChecksClassWeights) {
  EXPECT_THAT(RefusalWith("train: {class_weight: [1]}"), HasSubstr("give {class: weight}"));
  EXPECT_THAT(RefusalWith("train: {class_weight: {cat: 1}}"), HasSubstr("'cat' is not a class"));
  EXPECT_THAT(RefusalWith("train: {class_weight: {-1: 1}}"), HasSubstr("'-1' is not a class"));
  EXPECT_THAT(RefusalWith("train: {class_weight: {0: -1}}"), HasSubstr("use a number from 0"));
  EXPECT_THAT(RefusalWith("train: {class_weight: {1: 1, 01: 2}}"), HasSubstr("class 1 is there"));
}

TEST(JobSpec, TakesOneKindOfValidation) {
  const auto data = [](absl::string_view rest) {
    return absl::StrCat("data: {train: {format: idx, inputs: x, targets: y}, ", rest, "}");
  };
  EXPECT_EQ(LoadWith(data("validation_split: 0.1"))->data().validation_split, 0.1);
  for (const absl::string_view split : {"0", "1", "-0.1", "1.5"}) {
    EXPECT_THAT(LoadWith(data(absl::StrCat("validation_split: ", split))),
                StatusIs(kInvalid, HasSubstr("is not between 0 and 1; 0.1 takes a tenth")))
        << split;
  }
  EXPECT_THAT(LoadWith(data("validation_split: 0.1, validation: {format: idx}")),
              StatusIs(kInvalid, HasSubstr("stands beside 'validation'; give one of them")));
}

constexpr absl::string_view kTwoHeads =
    "model: {input_shape: [4], layers: [{dense: {units: 2, name: a}}, {dense: {units: 2, name: b, "
    "inputs: input_layer}}], outputs: [a, b]}\n"
    "data: {train: {format: idx, inputs: x, targets: y}}\n"
    "optimizer: adam\n";

TEST(JobSpec, TakesALossPerOutput) {
  const auto load = [](absl::string_view rest) {
    return LoadJobSpec(absl::StrCat(kTwoHeads, rest), "job.yaml", "");
  };

  ASSERT_OK_AND_ASSIGN(const JobSpec one, load("loss: {huber: {delta: 2}}"));
  EXPECT_EQ(one.losses()[1].loss.type, "huber");
  ASSERT_OK_AND_ASSIGN(const JobSpec each, load("loss: {b: mse, a: {huber: {delta: 2}}}\n"
                                                "loss_weights: {a: 0.5, b: 2}"));
  ASSERT_EQ(each.losses().size(), 2u);
  EXPECT_EQ(each.losses()[0].output, "a");
  EXPECT_EQ(each.losses()[0].loss.type, "huber");
  EXPECT_EQ(each.losses()[0].weight, 0.5);
  EXPECT_EQ(each.losses()[1].loss.where, "loss.b");

  EXPECT_THAT(load("loss: {a: mse}"), StatusIs(kInvalid, HasSubstr("output 'b' is missing")));
  EXPECT_THAT(load("loss: {a: mse, c: mse}"),
              StatusIs(kInvalid, HasSubstr("loss: no output is called 'c'; known: a, b")));
  EXPECT_THAT(load("loss: mse\nloss_weights: {a: 1}"),
              StatusIs(kInvalid, HasSubstr("loss_weights: output 'b' is missing")));
  EXPECT_THAT(load("loss: mse\nloss_weights: {a: 1, b: x}"),
              StatusIs(kInvalid, HasSubstr("is string 'x'; it takes a number")));
}

constexpr absl::string_view kTwoModels =
    "models:\n"
    "  generator: {input_shape: [4], layers: [{dense: {units: 2}}]}\n"
    "  critic: {input_shape: [2], layers: [{dense: {units: 1}}]}\n"
    "program: gan\n"
    "data: {train: {format: idx, inputs: x, targets: y}}\n";

TEST(JobSpec, TakesSeveralModelsWithAnOptimizerEach) {
  const auto load = [](absl::string_view rest) {
    return LoadJobSpec(absl::StrCat(kTwoModels, rest), "job.yaml", "");
  };

  ASSERT_OK_AND_ASSIGN(const JobSpec spec, load("optimizers: {generator: adam, critic: sgd}\n"
                                                "loss: {critic/dense: mse, generator/dense: mae}"));
  ASSERT_EQ(spec.models().size(), 2u);
  EXPECT_EQ(spec.models()[0].name, "critic");
  EXPECT_EQ(spec.optimizers()[0].optimizer.type, "sgd");
  EXPECT_EQ(spec.losses()[1].model, "generator");
  EXPECT_EQ(spec.losses()[1].loss.type, "mae");
  EXPECT_NE(spec.FindModel("generator"), nullptr);
  EXPECT_EQ(spec.FindModel("other"), nullptr);
  EXPECT_OK(load("optimizers: {generator: adam, critic: sgd}"));  // the program has its losses

  EXPECT_THAT(load("optimizer: adam"), StatusIs(kInvalid, HasSubstr("take 'optimizers:")));
  EXPECT_THAT(load("optimizers: {generator: adam}"),
              StatusIs(kInvalid, HasSubstr("optimizers: model 'critic' is missing")));
  EXPECT_THAT(load("optimizers: {generator: adam, critc: adam}"),
              StatusIs(kInvalid, HasSubstr("no model is called 'critc'; did you mean 'critic'?")));
  EXPECT_THAT(LoadWith("optimizers: {model: adam}"), StatusIs(kInvalid, HasSubstr("'optimizer'")));
  EXPECT_THAT(LoadWith("models: {a: {}}"), StatusIs(kInvalid, HasSubstr("give one of 'model'")));
}

TEST(JobSpec, SaysWhatThisVersionLacks) {
  EXPECT_OK(LoadWith("callbacks: []"));
  EXPECT_EQ(RefusalWith("callbacks: [{early_stopping: {patience: 3}}]"),
            "job.yaml:5:14: callbacks[0]: unknown callback 'early_stopping'; this version has none "
            "yet, remove it");
  EXPECT_EQ(RefusalWith("launcher: {slurm: {}}"),
            "job.yaml:5:12: launcher: unknown launcher 'slurm'; known: local");
  EXPECT_THAT(RefusalWith("launcher: locale"), HasSubstr("did you mean 'local'?"));
  EXPECT_THAT(RefusalWith("output: {formats: [safetensors, onnx]}"),
              HasSubstr("output.formats: unknown format 'onnx'; known: safetensors"));
}

TEST(JobSpec, TakesOneCheckpointClock) {
  EXPECT_EQ(LoadWith("checkpoint: {every_steps: 500}")->checkpoint().every_steps, 500);
  EXPECT_THAT(RefusalWith("checkpoint: {every: 60s, every_steps: 5}"),
              HasSubstr("checkpoint.every_steps: stands beside 'every'; give one of them"));
  EXPECT_THAT(RefusalWith("checkpoint: {every: 60}"), HasSubstr("give a time with its unit"));
}

TEST(JobSpec, RefusesOtherMistakes) {
  EXPECT_THAT(RefusalWith("name: a/b"), HasSubstr("name: 'a/b' is not a name"));
  EXPECT_THAT(RefusalWith("name: 3"), HasSubstr("name: is int 3; it takes a name"));
  EXPECT_THAT(RefusalWith("metrics: accuracy"), HasSubstr("it takes a list, like [accuracy]"));
  EXPECT_THAT(RefusalWith("metrics: [3]"), HasSubstr("metrics[0]: is int 3"));
  EXPECT_THAT(RefusalWith("output: {directory: ''}"), HasSubstr("is empty; give a directory"));
  EXPECT_THAT(RefusalWith("train: 3"), HasSubstr("train: is int 3; it takes a map of options"));
}

TEST(ApplyOverrides, ReplacesWhatTheFileSays) {
  ASSERT_OK_AND_ASSIGN(const JobSpec spec, LoadJobSpec(kSmallJob, "job.yaml", "/jobs"));

  ASSERT_OK_AND_ASSIGN(
      const JobSpec changed,
      ApplyOverrides(
          spec, {.workers = 4, .threads = 2, .steps = 10, .epochs = 3, .seed = 5, .out = "here"}));

  EXPECT_EQ(changed.resources().workers, 4);
  EXPECT_EQ(changed.resources().threads, 2);
  EXPECT_EQ(changed.train().steps, 10);
  EXPECT_EQ(changed.train().epochs, 3);
  EXPECT_EQ(changed.train().seed, 5u);
  EXPECT_EQ(changed.output().directory, "here");
  EXPECT_EQ(*ApplyOverrides(spec, {}), spec);
}

TEST(ParseOverrides, TakesWholeDecimalNumbersOnly) {
  ASSERT_OK_AND_ASSIGN(
      const Overrides overrides,
      ParseOverrides({.workers = "4", .steps = "010", .seed = "18446744073709551615"}));

  EXPECT_EQ(overrides.workers, 4);
  EXPECT_EQ(overrides.threads, std::nullopt);
  EXPECT_EQ(overrides.steps, 10);
  EXPECT_EQ(overrides.seed, 18446744073709551615u);
  for (const char* word : {"", "x", "1.5", "0x10", "1e3", "9223372036854775808"}) {
    EXPECT_THAT(ParseOverrides({.workers = word}),
                StatusIs(kInvalid, HasSubstr(absl::StrCat("--workers: is '", word, "'"))));
  }
  EXPECT_THAT(ParseOverrides({.seed = "-1"}),
              StatusIs(kInvalid, "--seed: is '-1'; use a whole number from 0"));
  EXPECT_THAT(ParseOverrides({.seed = "18446744073709551616"}),
              StatusIs(kInvalid, HasSubstr("18446744073709551616")));
}

TEST(ApplyOverrides, HasTheBoundsOfTheFile) {
  ASSERT_OK_AND_ASSIGN(const JobSpec spec, LoadJobSpec(kSmallJob, "job.yaml", "/jobs"));

  EXPECT_OK(ApplyOverrides(spec, {.workers = 1}));
  EXPECT_THAT(ApplyOverrides(spec, {.workers = 0}),
              StatusIs(kInvalid, "--workers: is 0; use 1 to 65536"));
  EXPECT_THAT(ApplyOverrides(spec, {.threads = -1}), StatusIs(kInvalid, StartsWith("--threads")));
  EXPECT_THAT(ApplyOverrides(spec, {.steps = 0}), StatusIs(kInvalid, StartsWith("--steps")));
  EXPECT_THAT(ApplyOverrides(spec, {.epochs = 0}), StatusIs(kInvalid, StartsWith("--epochs")));
  EXPECT_THAT(ApplyOverrides(spec, {.out = ""}), StatusIs(kInvalid, StartsWith("--out")));
}

}  // namespace
}  // namespace lockstep
