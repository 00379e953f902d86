// OpenDataset on IDX files, the simplest: what holds for every format.
#include "common/data/dataset_format.h"

#include "tests/common/data/data_testing.h"

namespace lockstep {
namespace {

using testing::DataFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IdxBytes;
using testing::StatusIs;
using testing::ValuesOf;

auto Refused(const std::string& message) {
  return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message));
}

// Files a to d of two samples each, three of three samples, weights of several kinds.
class DatasetFormatTest : public ::testing::Test {
 protected:
  DatasetFormatTest() {
    folder_.Write("a", IdxBytes(8, {2}, "aA"));
    folder_.Write("b", IdxBytes(8, {2}, "bB"));
    folder_.Write("c", IdxBytes(8, {2}, "cC"));
    folder_.Write("three", IdxBytes(8, {3}, "123"));
    folder_.Write("f32", IdxBytes(0x0D, {2}, std::string(8, '\0')));
    folder_.Write("f64", IdxBytes(0x0E, {2, 1, 1}, std::string(16, '\0')));
    folder_.Write("f32_pairs", IdxBytes(0x0D, {2, 2}, std::string(16, '\0')));
    folder_.Write("i32", IdxBytes(0x0C, {2}, std::string(8, '\0')));
  }

  // `options`: "inputs: a, targets: b".
  absl::StatusOr<Dataset> Open(absl::string_view options,
                               const DataNames& names = {.inputs = {"x"}, .targets = {"y"}}) {
    return folder_.Open(absl::StrCat("{format: idx, ", options, "}"), names);
  }

  DataFolder folder_;
};

TEST_F(DatasetFormatTest, TakesAStringWhereOneColumnIsWanted) {
  ASSERT_OK_AND_ASSIGN(const Dataset dataset, Open("inputs: a, targets: b"));
  EXPECT_EQ(dataset.count, 2);
  EXPECT_EQ(dataset.inputs.at(0)->field().name, "x");
  EXPECT_EQ(dataset.targets.at(0)->field().name, "y");
  EXPECT_THAT(ValuesOf<char>(*dataset.targets[0]), ElementsAre('b', 'B'));
  EXPECT_OK(Open("inputs: {x: a}, targets: {y: b}"));
}

TEST_F(DatasetFormatTest, TakesAMapWhereSeveralAreWanted) {
  const DataNames names = {.inputs = {"left", "right"}, .targets = {"y"}};
  ASSERT_OK_AND_ASSIGN(const Dataset dataset,
                       Open("inputs: {right: b, left: a}, targets: c", names));

  EXPECT_EQ(dataset.inputs.at(0)->field().name, "left");
  EXPECT_THAT(ValuesOf<char>(*dataset.inputs[0]), ElementsAre('a', 'A'));
  EXPECT_THAT(ValuesOf<char>(*dataset.inputs.at(1)), ElementsAre('b', 'B'));
  EXPECT_THAT(
      Open("inputs: a, targets: c", names),
      Refused("data.train.inputs: is one place for 2 names; give {left: PLACE, right: PLACE}"));
}

TEST_F(DatasetFormatTest, SaysNearNamesAndListsMissingOnes) {
  const DataNames names = {.inputs = {"left", "right", "top"}, .targets = {"y"}};
  EXPECT_THAT(
      Open("inputs: {left: a, rihgt: b, top: c}, targets: c", names),
      Refused("job.yaml:5:42: data.train.inputs: unknown name 'rihgt'; did you mean 'right'?"));
  EXPECT_THAT(Open("inputs: {left: a}, targets: c", names),
              Refused("data.train.inputs: lacks right, top; give {left: PLACE, right: PLACE"));
}

TEST_F(DatasetFormatTest, RefusesValuesThatAreNoPlaces) {
  EXPECT_THAT(Open("inputs: 3, targets: b"),
              Refused("data.train.inputs: is int 3; it takes a string or {x: PLACE}"));
  EXPECT_THAT(Open("inputs: [a], targets: b"), Refused("is a list of 1"));
  EXPECT_THAT(Open("inputs: {x: 3}, targets: b"), Refused("data.train.inputs.x: is int 3"));
  // With a path these are names inside the file.
  EXPECT_THAT(folder_.Open("{format: npz, path: a, inputs: '', targets: b}"),
              Refused("data.train.inputs: is string ''; it takes a string or {x: PLACE}"));
  EXPECT_THAT(folder_.Open("{format: npz, path: a, inputs: {x: ''}, targets: b}"),
              Refused("data.train.inputs.x: is string ''; it takes a string"));
}

TEST_F(DatasetFormatTest, WantsEveryInputAndTarget) {
  EXPECT_THAT(Open("targets: b"), Refused("data.train: 'inputs' is missing"));
  EXPECT_THAT(Open("inputs: null, targets: b"), Refused("data.train.inputs: is missing"));
  EXPECT_THAT(Open("inputs: a"), Refused("data.train.targets: is missing; give {y: PLACE}"));
  EXPECT_THAT(Open("inputs: a, target: b"), Refused("unknown option; did you mean 'targets'"));
}

TEST_F(DatasetFormatTest, TakesNoTargetsWhereNoneAreWanted) {
  const DataNames names = {.inputs = {"x"}, .targets = {}};
  ASSERT_OK_AND_ASSIGN(const Dataset dataset, Open("inputs: a", names));
  EXPECT_TRUE(dataset.targets.empty());
  EXPECT_THAT(Open("inputs: a, targets: b", names),
              Refused("data.train.targets: is given, but the job takes none; leave it out"));
}

TEST_F(DatasetFormatTest, RefusesColumnsOfDifferentCounts) {
  EXPECT_OK(Open("inputs: a, targets: b"));
  EXPECT_THAT(Open("inputs: a, targets: three"),
              Refused(absl::StrCat("data.train: input 'x' ('", folder_.File("a"),
                                   "') has 2 samples, but target 'y' ('", folder_.File("three"),
                                   "') has 3; give columns of the same samples")));
  EXPECT_THAT(Open("inputs: three, targets: three, sample_weights: f32"),
              Refused(absl::StrCat("has 3 samples, but column 'sample_weights' ('",
                                   folder_.File("f32"), "') has 2")));
}

TEST_F(DatasetFormatTest, TakesOneFloatASampleAsItsWeight) {
  ASSERT_OK_AND_ASSIGN(const Dataset dataset, Open("inputs: a, targets: b, sample_weights: f32"));
  EXPECT_EQ(dataset.weights->field().name, "sample_weights");
  EXPECT_OK(Open("inputs: a, targets: b, sample_weights: f64"));
  EXPECT_THAT(Open("inputs: a, targets: b, sample_weights: f32_pairs"),
              Refused("data.train.sample_weights: is f32 of shape (2,) for each sample"));
  EXPECT_THAT(Open("inputs: a, targets: b, sample_weights: i32"),
              Refused("is i32 of shape () for each sample; give one f32 or f64"));
}

TEST_F(DatasetFormatTest, SharesTheWeightsAmongAllOutputs) {
  const DataNames two = {.inputs = {"x"}, .targets = {"y", "z"}};
  EXPECT_OK(Open("inputs: a, targets: b, sample_weights: {y: f32}"));
  EXPECT_THAT(Open("inputs: a, targets: b, sample_weights: {z: f32}"), Refused("unknown name 'z'"));
  EXPECT_OK(Open("inputs: a, targets: {y: b, z: c}, sample_weights: f32", two));
  EXPECT_THAT(Open("inputs: a, targets: {y: b, z: c}, sample_weights: {y: f32}", two),
              Refused("sample_weights: is a map of 1; it takes one string"));
  EXPECT_THAT(Open("inputs: a, sample_weights: f32", {.inputs = {"x"}, .targets = {}}),
              Refused("data.train.sample_weights: is given, but the job takes none"));
}

TEST_F(DatasetFormatTest, RefusesAnUnknownFormat) {
  EXPECT_THAT(folder_.Open("{format: tfrecord, inputs: a}"),
              Refused("job.yaml:5:19: data.train: unknown format 'tfrecord'; known: idx, npz"));
}

}  // namespace
}  // namespace lockstep
