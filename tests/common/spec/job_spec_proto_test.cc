#include "common/spec/job_spec_proto.h"

#include <fstream>
#include <sstream>
#include <string>

#include "gmock/gmock.h"
#include "google/protobuf/util/json_util.h"
#include "gtest/gtest.h"

#include "common/spec/job_identity.h"
#include "tests/common/spec/job_text.h"
#include "tests/support/status_matchers.h"

namespace lockstep {
namespace {

using ::lockstep::testing::kSmallJob;
using ::lockstep::testing::LoadWith;
using ::lockstep::testing::StatusIs;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

std::string ReadFile(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

std::string JsonOf(const v1::JobSpec& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string json;
  EXPECT_TRUE(google::protobuf::util::MessageToJsonString(message, &json, options).ok());
  return json;
}

TEST(JobSpecProto, CarriesAJobThereAndBack) {
  for (const absl::string_view line :
       {"name: other", "train: {seed: '18446744073709551615', steps: 9007199254740992}",
        "train: {shuffle: false, seed: 0, shards: 1, class_weight: {0: 0, 9: 0.1}}",
        "checkpoint: {every: 1500ms}", "checkpoint: {every_steps: 5, keep: 1}",
        "resources: {workers: 65536, threads: 2, memory: 4GiB}",
        "data: {train: {format: npz, path: a, inputs: {x: y}, rows: [1, null, true]}, "
        "validation_split: 0.25, preprocess: {scale: 0.00392156862745098, offset: -0.0}}",
        "optimizer: {adam: {learning_rate: 1e-3, beta_1: 0.1}}", "metrics: [accuracy]",
        "program: {gan: {noise: uniform, samples: [4, 3]}}"}) {
    ASSERT_OK_AND_ASSIGN(const JobSpec spec, LoadWith(line));

    ASSERT_OK_AND_ASSIGN(const v1::JobSpec message, JobSpecToProto(spec));
    ASSERT_OK_AND_ASSIGN(const JobSpec back, JobSpecFromProto(message));

    EXPECT_EQ(back, spec) << line;
    EXPECT_EQ(ToCanonicalJson(back), ToCanonicalJson(spec)) << line;
  }
}

TEST(JobSpecProto, HasAJobFileAsItsJson) {
  ASSERT_OK_AND_ASSIGN(const JobSpec spec, LoadJobSpec(ReadFile("examples/fashion_mnist_cnn.yaml"),
                                                       "fashion_mnist_cnn.yaml", "/examples"));
  ASSERT_OK_AND_ASSIGN(const v1::JobSpec message, JobSpecToProto(spec));

  ASSERT_OK_AND_ASSIGN(const JobSpec back, LoadJobSpec(JsonOf(message), "job.json", ""));

  EXPECT_EQ(back, spec);
  EXPECT_EQ(spec.models()[0].layers.size(), 5u);
  EXPECT_EQ(spec.output().directory, "/examples/out/fashion-cnn");
}

TEST(JobSpecProto, GivesAbsentFieldsTheirDefaults) {
  v1::JobSpec message;
  message.mutable_model()->add_input_shape(4);
  v1::Node* layer = message.mutable_model()->add_layers();
  layer->set_type("dense");
  (*layer->mutable_options()->mutable_fields())["units"].set_number_value(2);
  v1::DataSource* source = message.mutable_data()->mutable_train();
  source->set_format("idx");
  (*source->mutable_options()->mutable_fields())["inputs"].set_string_value("/jobs/x");
  (*source->mutable_options()->mutable_fields())["targets"].set_string_value("/jobs/y");
  (*message.mutable_loss())["dense"].set_type("mean_squared_error");
  message.mutable_optimizer()->set_type("adam");
  message.mutable_output()->set_directory("/jobs/out");

  ASSERT_OK_AND_ASSIGN(const JobSpec spec, JobSpecFromProto(message));

  EXPECT_EQ(spec, *LoadJobSpec(kSmallJob, "job.yaml", "/jobs"));
}

TEST(JobSpecProto, RefusesWithoutAPosition) {
  v1::JobSpec message;
  message.mutable_train()->set_batch_size(0);

  EXPECT_THAT(JobSpecFromProto(message), StatusIs(kInvalid,
                                                  "'data' is missing; give any value: "
                                                  "where samples come from"));
  ASSERT_OK_AND_ASSIGN(message, JobSpecToProto(*LoadWith("name: other")));
  message.mutable_train()->set_batch_size(0);
  EXPECT_THAT(JobSpecFromProto(message),
              StatusIs(kInvalid, "train.batch_size: 0 is too small; use 1 or more"));
}

TEST(JobSpecProto, RefusesIntegersThatTheMessageWouldRound) {
  EXPECT_OK(JobSpecToProto(*LoadWith("optimizer: {adam: {n: 9007199254740992}}")));
  EXPECT_THAT(JobSpecToProto(*LoadWith("optimizer: {adam: {n: 9007199254740993}}")),
              StatusIs(kInvalid, HasSubstr("an option holds an integer past 2^53")));
}

}  // namespace
}  // namespace lockstep
