// The program gan beyond what every program must do (program_test.cc) and its bits
// (tests/golden/gan_golden_test.cc): what it refuses, memory that lasts over both phases, pictures.
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"

#include "common/plan/job_graph.h"
#include "tests/conformance/one_hash.h"
#include "tests/conformance/probe.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace lockstep::testing {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr char kJob[] = R"(
program: gan
models:
  generator:
    inputs: {noise: [5]}
    layers:
      - dense: {units: 9}
      - batch_normalization
      - dense: {units: 6, activation: tanh}
      - reshape: {target_shape: [3, 2]}
  discriminator:
    inputs: {x: [3, 2]}
    layers:
      - flatten
      - dense: {units: 11, activation: relu}
      - dropout: {rate: 0.2}
      - dense: {units: 1, activation: sigmoid}
optimizers:
  generator: {adam: {learning_rate: 0.01, beta_1: 0.5}}
  discriminator: {adam: {learning_rate: 0.02, beta_1: 0.5}}
)";

// Of bytes where the job decodes them, else floats.
template <typename T>
Dataset Images(std::vector<T> values) {
  Dataset data{.count = std::ssize(values) / 6};
  data.inputs.push_back(MakeColumn("x", Shape{3, 2}, std::move(values)));
  return data;
}

std::string JobWith(std::vector<std::pair<absl::string_view, absl::string_view>> changes) {
  return absl::StrReplaceAll(absl::StrCat(kJob, kTraining), changes);
}

class GanProgram : public ::testing::Test {
 protected:
  TrainingRunOptions Options() const { return {.job = JobWith({}), .train = &data_}; }
  const Dataset data_ = Images(RandomFloats(kSamples * 6, 1));
};

TEST_F(GanProgram, RefusesWhatIsNoPairOfThem) {
  const struct {
    std::vector<std::pair<absl::string_view, absl::string_view>> changes;
    absl::string_view words;
  } cases[] = {
      {{{"program: gan", "program: {gan: {generator: generater}}"}},
       "job.yaml:2:28: program.gan.generator: no model is called 'generater'; did you mean "
       "'generator'?"},
      {{{"program: gan", "program: {gan: {discriminator: generator}}"}},
       "program.gan.discriminator: is the generator too; name the other model"},
      {{{"program: gan", "program: {gan: {noise: pink}}"}}, "program.gan.noise"},
      {{{"program: gan", "program: {gan: {samples: [0, 1]}}"}}, "program.gan.samples"},
      {{{"program: gan", "program: {gan: {latent: 3}}"}}, "program.gan"},
      {{{"program: gan", "program: gan\nloss: mean_squared_error"}},
       "program gan has its own losses; remove 'loss'"},
      {{{"program: gan", "program: gan\nmetrics: [accuracy]"}}, "remove 'metrics'"},
      {{{"target_shape: [3, 2]", "target_shape: [2, 3]"}},
       "the generator makes (2, 3) but input 'x' of the discriminator takes (3, 2); end the "
       "generator in {reshape: {target_shape: [3, 2]}}"},
      {{{"activation: sigmoid", "activation: tanh"}}, "last layer has no sigmoid"},
      {{{"program: gan", "program: {gan: {from_logits: true}}"}},
       "ends in a sigmoid; remove from_logits"},
      {{{"{x: [3, 2]}", "{x: [3, 2], y: [3, 2]}"},
        {"      - flatten\n", "      - concatenate: {inputs: [x, y]}\n      - flatten\n"}},
       "the generator has 1 outputs, the discriminator 2 inputs"},
      {{{"inputs: {noise: [5]}", "inputs: {x: [5]}"}}, ""},
  };
  for (const auto& c : cases) {
    TrainingRunOptions options = Options();
    options.job = JobWith(c.changes);
    const absl::StatusOr<TrainingRunResult> result = RunTraining(options);
    if (c.words.empty()) {  // the noise may be called as the data is
      EXPECT_OK(result.status());
    } else {
      EXPECT_THAT(result.status(),
                  StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(std::string(c.words))));
    }
  }
  const std::string one = absl::StrCat(
      "model: {input_shape: [3, 2], layers: [{dense: {units: 1}}]}\nloss: mean_squared_error\n"
      "optimizer: sgd\nprogram: gan\n",
      kTraining);
  ASSERT_OK_AND_ASSIGN(const JobSpec spec, LoadJobSpec(one, "job.yaml", ""));
  EXPECT_THAT(BuildJobGraph(spec).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("takes a generator and a discriminator under 'models'")));
}

TEST_F(GanProgram, TakesLogitsOfAnyNames) {
  TrainingRunOptions options = Options();
  ASSERT_OK_AND_ASSIGN(const TrainingRunResult sigmoid, RunTraining(options));
  options.job = JobWith({{"activation: sigmoid", "activation: linear"},
                         {"program: gan", "program: {gan: {from_logits: true}}"}});
  ASSERT_OK_AND_ASSIGN(const TrainingRunResult logits, RunTraining(options));
  EXPECT_EQ(logits.model_sha256, sigmoid.model_sha256);

  // By name the painter now stands where the discriminator stood: other random numbers.
  options.job = JobWith({{"program: gan", "program: {gan: {generator: a, discriminator: b}}"},
                         {"generator:", "a:"},
                         {"discriminator:", "b:"}});
  ASSERT_OK_AND_ASSIGN(const TrainingRunResult renamed, RunTraining(options));
  EXPECT_THAT(renamed.variables, SizeIs(sigmoid.variables.size()));
  EXPECT_NE(renamed.model_sha256, sigmoid.model_sha256);
}

// Every temporary of both phases is filled with NaN first of all: it lives from there on, so no two
// share bytes, and what is read before it is written shows.
std::vector<ProgramPhase> RecordApart(ProgramContext& context) {
  ProgramPhase unwritten{.name = "unwritten", .updates = {}, .builder = context.NewBuilder()};
  RecordUnwritten(*unwritten.builder);
  std::vector<ProgramPhase> phases;
  phases.push_back(std::move(unwritten));
  for (ProgramPhase& phase : (*FindProgram("gan"))->record_train(context)) {
    phases.push_back(std::move(phase));
  }
  return phases;
}

TEST_F(GanProgram, TrainsTheSameBitsWhereBuffersShareMemory) {
  ASSERT_OK_AND_ASSIGN(const ProgramDef* const gan, FindProgram("gan"));
  ProgramDef apart = *gan;
  apart.record_train = &RecordApart;
  TrainingRunOptions options = Options();
  ASSERT_OK_AND_ASSIGN(const TrainingRunResult expected, RunTraining(options));
  options.program = &apart;

  ASSERT_OK_AND_ASSIGN(const TrainingRunResult result, RunTraining(options));

  EXPECT_EQ(result.model_sha256, expected.model_sha256);
}

// One model stands, the other learns: the discriminator gets better at telling, the generator at
// fooling.
TEST_F(GanProgram, LearnsInEitherModel) {
  const auto losses = [&](absl::string_view standing) {
    RecordingObserver observer;
    TrainingRunOptions options = Options();
    options.job = JobWith({{standing, "0"}, {"epochs: 2", "epochs: 25"}});
    options.observer = &observer;
    EXPECT_OK(RunTraining(options).status());
    return std::pair(observer.epochs.front().metrics, observer.epochs.back().metrics);
  };
  const auto [d_first, d_last] = losses("0.01");
  EXPECT_EQ(d_last[1].first, "d_loss");
  EXPECT_LT(d_last[1].second, 0.8 * d_first[1].second);
  EXPECT_EQ(d_last[0].second, d_last[1].second + d_last[2].second);

  const auto [g_first, g_last] = losses("0.02");
  EXPECT_EQ(g_last[2].first, "g_loss");
  EXPECT_LT(g_last[2].second, 0.9 * g_first[2].second);
}

// The update of the first phase overflows the discriminator, whose pass in the second is looked at.
TEST_F(GanProgram, NamesWhatIsNotFiniteInTheSecondPhase) {
  TrainingRunOptions options = Options();
  options.job = JobWith({{"0.02, beta_1: 0.5", "3e38, beta_1: 0.5"}});
  EXPECT_THAT(RunTraining(options).status(),
              StatusIs(absl::StatusCode::kOutOfRange,
                       HasSubstr("step 1: 'discriminator/dense/forward' gives a value")));
}

TEST_F(GanProgram, EvaluatesOnNoiseThatDoesNotChange) {
  RecordingObserver observer;
  TrainingRunOptions options = Options();
  options.job = JobWith({{"0.01", "0"},
                         {"0.02", "0"},
                         {"      - batch_normalization\n", ""},
                         {"epochs: 2", "epochs: 3"}});
  options.validation = &data_;
  options.observer = &observer;
  ASSERT_OK(RunTraining(options).status());

  ASSERT_THAT(observer.epochs, SizeIs(3));
  const MetricValues& last = observer.epochs[2].metrics;
  ASSERT_THAT(last, SizeIs(6));
  EXPECT_EQ(last[4].first, "val_d_loss");
  for (size_t m = 3; m < last.size(); ++m) EXPECT_EQ(last[m], observer.epochs[0].metrics[m]);
  EXPECT_NE(last[1], observer.epochs[0].metrics[1]) << "each step of training has its own";
}

// --- pictures ---

std::vector<PicturesReport> PicturesOf(TrainingRunOptions options) {
  RecordingObserver observer;
  options.observer = &observer;
  EXPECT_OK(RunTraining(options).status());
  return observer.pictures;
}

TEST_F(GanProgram, ShowsTheSamePicturesForAnyCountOfRanks) {
  TrainingRunOptions options = Options();
  options.job = JobWith({{"program: gan", "program: {gan: {samples: [5, 7]}}"}});
  const std::vector<PicturesReport> expected = PicturesOf(options);
  ASSERT_THAT(expected, SizeIs(2));
  EXPECT_EQ(expected[1].epoch, 2);
  EXPECT_EQ(expected[1].sheet.picture, (Shape{3, 2}));
  ASSERT_THAT(expected[0].bytes, SizeIs(5 * 7 * 6));
  EXPECT_NE(expected[0].bytes, expected[1].bytes);
  for (const int ranks : {2, 3, 8}) {
    options.ranks = ranks;
    const std::vector<PicturesReport> pictures = PicturesOf(options);
    ASSERT_THAT(pictures, SizeIs(2));
    for (size_t k = 0; k < 2; ++k) EXPECT_EQ(pictures[k].bytes, expected[k].bytes) << ranks;
  }
}

TEST_F(GanProgram, ShowsThemAgainWhenAJobGoesOn) {
  const TempDir dir;
  TrainingRunOptions options = Options();
  const std::vector<PicturesReport> expected = PicturesOf(options);
  options.checkpoint_root = dir.File("checkpoints");
  options.job = JobWith({{"epochs: 2", "epochs: 2, steps: 6"}});
  const std::vector<PicturesReport> early = PicturesOf(options);
  ASSERT_THAT(early, SizeIs(2));
  EXPECT_EQ(early[1].epoch, 2) << "at the end, too";
  EXPECT_NE(early[1].bytes, expected[1].bytes);
  options.job = JobWith({});
  options.resume = true;
  options.ranks = 3;

  const std::vector<PicturesReport> resumed = PicturesOf(options);

  ASSERT_THAT(resumed, SizeIs(1));
  EXPECT_EQ(resumed[0].epoch, 2);
  EXPECT_EQ(resumed[0].bytes, expected[1].bytes);
}

// A generator of zeros makes tanh(0) = 0: the middle of [-1, 1], black where bytes become 0 to 1.
TEST_F(GanProgram, ShowsValuesAsTheDataWouldHoldThem) {
  const std::vector<std::pair<absl::string_view, absl::string_view>> zeros = {
      {"{units: 6, activation: tanh}", "{units: 6, kernel_initializer: zeros}"}, {"0.01", "0"}};
  const auto bytes_of = [&](const Dataset& data, absl::string_view preprocess) {
    TrainingRunOptions options = Options();
    options.train = &data;
    options.job = absl::StrReplaceAll(
        JobWith(zeros), {{"data: {", absl::StrCat("data: {preprocess: ", preprocess, ", ")}});
    return PicturesOf(options).at(0).bytes;
  };
  const Dataset bytes = Images(std::vector<uint8_t>(kSamples * 6, 7));
  EXPECT_THAT(bytes_of(data_, "{}"), Each(128));
  EXPECT_THAT(bytes_of(bytes, "{scale: 0.00784313725490196, offset: -1}"), Each(128));
  EXPECT_THAT(bytes_of(bytes, "{scale: 0.00392156862745098}"), Each(0));
  EXPECT_THAT(bytes_of(bytes, "{scale: 0.00392156862745098, offset: -2}"), Each(255));
}

TEST_F(GanProgram, ShowsNoneOfWhatIsNoImage) {
  TrainingRunOptions options = Options();
  options.job =
      JobWith({{"      - reshape: {target_shape: [3, 2]}\n", ""}, {"{x: [3, 2]}", "{x: [6]}"}});
  Dataset flat{.count = kSamples};
  flat.inputs.push_back(MakeColumn("x", Shape{6}, RandomFloats(kSamples * 6, 1)));
  options.train = &flat;
  EXPECT_THAT(PicturesOf(options), SizeIs(0));
}

}  // namespace
}  // namespace lockstep::testing
