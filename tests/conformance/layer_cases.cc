#include "tests/conformance/layer_cases.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"

#include "common/base/check.h"
#include "common/nn/layer_registry.h"

namespace lockstep::testing {
namespace {

const LayerExample& ExampleOf(const LayerCase& layer_case) {
  return layer_case.def->examples[layer_case.example];
}

std::vector<std::string> InputNames(const LayerCase& layer_case, absl::string_view letter) {
  std::vector<std::string> names;
  for (size_t i = 0; i < ExampleOf(layer_case).inputs.size(); ++i) {
    names.push_back(absl::StrCat(letter, i));
  }
  return names;
}

// "x0: [3, 4], x1: [2]"
std::string InputShapes(const LayerCase& layer_case, absl::string_view letter) {
  std::vector<std::string> shapes;
  for (const std::initializer_list<int64_t>& dims : ExampleOf(layer_case).inputs) {
    shapes.push_back(absl::StrCat(letter, shapes.size(), ": ", Shape(dims).ToJson()));
  }
  return absl::StrJoin(shapes, ", ");
}

// "{dense: {units: 3, name: layer, inputs: [x0], trainable: true}}"
std::string LayerText(const LayerCase& layer_case, bool trainable) {
  absl::string_view options = ExampleOf(layer_case).options;
  LOCKSTEP_CHECK(absl::ConsumePrefix(&options, "{") && absl::ConsumeSuffix(&options, "}"));
  return absl::StrCat("{", layer_case.def->name, ": {", options, options.empty() ? "" : ", ",
                      "name: layer, inputs: [", absl::StrJoin(InputNames(layer_case, "x"), ", "),
                      "], trainable: ", trainable ? "true" : "false", "}}");
}

std::string OneCall(const LayerCase& layer_case, bool trainable) {
  return absl::StrCat("{inputs: {", InputShapes(layer_case, "x"), "}, layers: [",
                      LayerText(layer_case, trainable), "]}");
}

// The second call on the inputs of that letter, which `more_inputs` adds where they are new.
std::string TwoCalls(const LayerCase& layer_case, absl::string_view more_inputs,
                     absl::string_view letter) {
  return absl::StrCat(
      "{inputs: {", InputShapes(layer_case, "x"), more_inputs, "}, layers: [",
      LayerText(layer_case, true), ", {reuse: {layer: layer, name: again, inputs: [",
      absl::StrJoin(InputNames(layer_case, letter), ", "), "]}}], outputs: [layer, again]}");
}

}  // namespace

std::string NameOf(const LayerCase& layer_case) {
  return absl::StrCat(layer_case.def->name, "_", layer_case.example);
}

void PrintTo(const LayerCase& layer_case, std::ostream* out) {
  *out << layer_case.def->name << " " << ExampleOf(layer_case).options;
}

std::vector<LayerCase> LayerCases() {
  std::vector<LayerCase> cases;
  for (const LayerDef* def : Layers()) {
    for (size_t example = 0; example < def->examples.size(); ++example) {
      cases.push_back({def, example});
    }
  }
  return cases;
}

std::string ModelOf(const LayerCase& layer_case) { return OneCall(layer_case, true); }

std::string FrozenModelOf(const LayerCase& layer_case) { return OneCall(layer_case, false); }

std::string SharedModelOf(const LayerCase& layer_case) {
  return TwoCalls(layer_case, absl::StrCat(", ", InputShapes(layer_case, "z")), "z");
}

std::string TwiceModelOf(const LayerCase& layer_case) { return TwoCalls(layer_case, "", "x"); }

}  // namespace lockstep::testing
