#include "common/spec/model_parser.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "common/spec/job_yaml.h"
#include "tests/support/status_matchers.h"

namespace lockstep {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

absl::StatusOr<ModelSpec> Parse(absl::string_view text) {
  absl::StatusOr<Value> value = ParseYaml(text, "job.yaml");
  if (!value.ok()) return value.status();
  return ParseModel(*value, "model", "model");
}

// A model with an input of 4 features and these layers.
absl::StatusOr<ModelSpec> ParseLayers(absl::string_view layers) {
  return Parse(absl::StrCat("{input_shape: [4], layers: ", layers, "}"));
}

std::string Refusal(absl::string_view text) { return std::string(Parse(text).status().message()); }
std::string LayersRefusal(absl::string_view layers) {
  return std::string(ParseLayers(layers).status().message());
}

std::vector<std::string> Names(const ModelSpec& model) {
  std::vector<std::string> names;
  for (const LayerSpec& layer : model.layers) names.push_back(layer.name);
  return names;
}

TEST(ModelParser, NamesLayersAsKerasDoes) {
  ASSERT_OK_AND_ASSIGN(const ModelSpec model,
                       ParseLayers("[dense, flatten, dense, {dense: {name: dense_2}}, dense]"));

  EXPECT_THAT(Names(model), ElementsAre("dense", "flatten", "dense_1", "dense_2", "dense_3"));
}

TEST(ModelParser, ChainsLayersByDefault) {
  ASSERT_OK_AND_ASSIGN(const ModelSpec model, ParseLayers("[flatten, dense]"));

  EXPECT_THAT(model.layers[0].inputs, ElementsAre("input_layer"));
  EXPECT_THAT(model.layers[1].inputs, ElementsAre("flatten"));
  EXPECT_THAT(model.outputs, ElementsAre("dense"));
}

TEST(ModelParser, TakesCommonOptionsOutOfTheLayersOwn) {
  ASSERT_OK_AND_ASSIGN(
      const ModelSpec model,
      ParseLayers("[{dense: {units: 3, name: first, trainable: false, inputs: [input_layer]}}]"));

  const LayerSpec& layer = model.layers[0];
  EXPECT_EQ(layer.type, "dense");
  EXPECT_EQ(layer.name, "first");
  EXPECT_FALSE(layer.trainable);
  EXPECT_EQ(ToJson(layer.options), R"({"units":3})");
  EXPECT_EQ(layer.OptionsWhere(), "model.layers[0].dense");
  EXPECT_EQ(layer.mark.ToString(), "job.yaml:1:30");
  EXPECT_EQ(model.FindLayer("first"), &layer);
  EXPECT_EQ(model.FindLayer("second"), nullptr);
}

TEST(ModelParser, BuildsGraphs) {
  ASSERT_OK_AND_ASSIGN(const ModelSpec model,
                       Parse("{inputs: {a: [4], b: [2, 3]}, outputs: [add, tail], layers: ["
                             "{dense: {name: c1, inputs: a}}, {dense: {name: c2, inputs: [b]}},"
                             "{add: {inputs: [c1, c2, c1]}}, {dense: {name: tail, inputs: c2}}]}"));

  EXPECT_EQ(model.inputs[1], (InputSpec{"b", Shape{2, 3}}));
  EXPECT_THAT(model.layers[2].inputs, ElementsAre("c1", "c2", "c1"));
  EXPECT_THAT(model.outputs, ElementsAre("add", "tail"));
}

TEST(ModelParser, CallsASharedLayerAgain) {
  ASSERT_OK_AND_ASSIGN(const ModelSpec model,
                       Parse("{inputs: [{name: a, shape: [4]}, {name: b, shape: [4]}], layers: ["
                             "{dense: {units: 3, inputs: a}}, {reuse: {layer: dense, inputs: b}},"
                             "{reuse: {layer: dense, inputs: a, name: again}},"
                             "{add: {inputs: [dense, dense_call, again]}}]}"));

  EXPECT_EQ(model.layers[1].type, "reuse");
  EXPECT_EQ(model.layers[1].reused, "dense");
  EXPECT_THAT(Names(model), ElementsAre("dense", "dense_call", "again", "add"));
}

TEST(ModelParser, RefusesAReuseOfNothing) {
  EXPECT_EQ(LayersRefusal("[dense, {reuse: {layer: dens}}]"),
            "job.yaml:1:37: model.layers[1].reuse.layer: no earlier layer is called 'dens'; did "
            "you mean 'dense'?");
  EXPECT_THAT(LayersRefusal("[{reuse: {layer: dense}}, dense]"), HasSubstr("no earlier layer"));
  EXPECT_THAT(LayersRefusal("[dense, {reuse: {}}]"), HasSubstr("'layer' is missing"));
  EXPECT_THAT(LayersRefusal("[dense, {reuse: {layer: dense}}, {reuse: {layer: dense_call}}]"),
              HasSubstr("is itself a call of another layer"));
  EXPECT_THAT(LayersRefusal("[dense, {reuse: {layer: input_layer}}]"),
              HasSubstr("no earlier layer is called 'input_layer'"));
  EXPECT_THAT(LayersRefusal("[dense, {reuse: {layer: dense, units: 3}}]"),
              HasSubstr("units: unknown option"));
}

TEST(ModelParser, RefusesInputsThatDoNotComeBefore) {
  EXPECT_EQ(LayersRefusal("[dense, {add: {inputs: [dense, dens]}}]"),
            "job.yaml:1:37: model.layers[1].add.inputs: no earlier layer or model input is called "
            "'dens'; did you mean 'dense'?");
  EXPECT_THAT(LayersRefusal("[{dense: {inputs: flatten}}, flatten]"), HasSubstr("no earlier"));
  EXPECT_THAT(LayersRefusal("[{dense: {inputs: dense}}]"), HasSubstr("no earlier"));
  EXPECT_THAT(LayersRefusal("[{dense: {inputs: []}}]"), HasSubstr("name at least one layer"));
  EXPECT_THAT(LayersRefusal("[{dense: {inputs: [3]}}]"), HasSubstr("is int 3; give names"));
  EXPECT_THAT(Refusal("{inputs: {a: [1], b: [1]}, layers: [dense]}"),
              HasSubstr("the model has 2 inputs; say with 'inputs' which ones it takes"));
}

TEST(ModelParser, RefusesWhatLeadsToNoOutput) {
  EXPECT_THAT(LayersRefusal("[dense, {flatten: {inputs: input_layer}}]"),
              HasSubstr("model.layers[0].dense: layer 'dense' leads to no output"));
  EXPECT_THAT(Refusal("{inputs: {a: [1], b: [1]}, layers: [{dense: {inputs: a}}]}"),
              HasSubstr("no layer takes input 'b'"));
  EXPECT_THAT(Refusal("{input_shape: [1], outputs: [dens], layers: [dense]}"),
              HasSubstr("model.outputs: no layer is called 'dens'; did you mean 'dense'?"));
  EXPECT_THAT(Refusal("{input_shape: [1], outputs: [], layers: [dense]}"),
              HasSubstr("is empty; give at least one name"));
  EXPECT_THAT(Refusal("{input_shape: [1], outputs: [dense, dense], layers: [dense]}"),
              HasSubstr("'dense' is there twice"));
}

TEST(ModelParser, RefusesNamesThatRepeatOrAreNone) {
  EXPECT_EQ(LayersRefusal("[{dense: {name: a}}, {dense: {name: a}}]"),
            "job.yaml:1:50: model.layers[1].dense.name: 'a' is the name of another layer or input; "
            "names are unique in a model");
  EXPECT_THAT(LayersRefusal("[{dense: {name: input_layer}}]"), HasSubstr("another layer or input"));
  EXPECT_OK(ParseLayers("[{dense: {name: a.b-c_1}}]"));
  for (const absl::string_view name : {"a/b", "''", "1a", "-a", ".a", "'a b'", "é"}) {
    EXPECT_THAT(LayersRefusal(absl::StrCat("[{dense: {name: ", name, "}}]")),
                HasSubstr("is not a name"))
        << name;
  }
  EXPECT_OK(ParseLayers(absl::StrCat("[{dense: {name: ", std::string(128, 'a'), "}}]")));
  EXPECT_THAT(LayersRefusal(absl::StrCat("[{dense: {name: ", std::string(129, 'a'), "}}]")),
              HasSubstr("at most 128"));
  EXPECT_THAT(LayersRefusal("['a b']"), HasSubstr("model.layers[0]: 'a b' is not a name"));
  EXPECT_THAT(LayersRefusal("[{dense: {trainable: 1}}]"), HasSubstr("it takes true or false"));
}

TEST(ModelParser, RefusesShapesThatAreNone) {
  EXPECT_OK(Parse("{input_shape: [2147483647], layers: [dense]}"));
  EXPECT_THAT(Refusal("{input_shape: [2147483648], layers: [dense]}"),
              HasSubstr("dimension 2147483648 is too large"));
  EXPECT_THAT(Refusal("{input_shape: [28, 0], layers: [dense]}"), HasSubstr("input_shape: "));
  EXPECT_THAT(Refusal("{input_shape: [28, -1], layers: [dense]}"), HasSubstr("-1"));
  EXPECT_THAT(Refusal("{input_shape: [2000000000, 2000000000, 2000000000], layers: [dense]}"),
              HasSubstr("job.yaml:1:15: model.input_shape: "));
  EXPECT_THAT(Refusal("{input_shape: [null, 28], layers: [dense]}"),
              HasSubstr("a dimension is null; use ints, and leave the batch out"));
  EXPECT_THAT(Refusal("{input_shape: [], layers: [dense]}"), HasSubstr("like [28, 28, 1] or [1]"));
  EXPECT_THAT(Refusal("{input_shape: 28, layers: [dense]}"), HasSubstr("is int 28"));
}

TEST(ModelParser, NeedsLayersAndOneKindOfInput) {
  EXPECT_EQ(Refusal("{layers: [dense]}"),
            "job.yaml:1:1: model: give one of 'input_shape' and 'inputs'");
  EXPECT_THAT(Refusal("{input_shape: [1], inputs: {a: [1]}, layers: [dense]}"),
              HasSubstr("give one of"));
  EXPECT_THAT(Refusal("{inputs: {}, layers: [dense]}"), HasSubstr("give {name: shape}"));
  EXPECT_THAT(Refusal("{inputs: [{name: a, shape: [1]}, {name: a, shape: [1]}], layers: [dense]}"),
              HasSubstr("two inputs are called 'a'"));
  EXPECT_THAT(Refusal("{input_shape: [1]}"), HasSubstr("'layers' is missing"));
  EXPECT_THAT(LayersRefusal("[]"), HasSubstr("give a list of layers"));
  EXPECT_THAT(LayersRefusal("[3]"), HasSubstr("model.layers[0]: is int 3"));
  EXPECT_THAT(Refusal("{input_shape: [1], layer: [dense]}"), HasSubstr("did you mean 'layers'?"));
}

TEST(ModelParser, SaysThatKerasFilesAndWeightsComeLater) {
  EXPECT_EQ(Refusal("{keras: cnn.json}"),
            "job.yaml:1:2: model.keras: Keras model files are not supported by this version; write "
            "the model as 'layers'");
  EXPECT_THAT(Refusal("{input_shape: [1], layers: [dense], weights: a.h5}"),
              HasSubstr("model.weights: a start from weights is not supported by this version"));
}

}  // namespace
}  // namespace lockstep
