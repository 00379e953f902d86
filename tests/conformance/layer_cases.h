// LayerCases: every entry of Layers() with every one of its examples, as small models. A layer is
// found here by being a file of common/nn/layers; nothing lists it.
#ifndef LOCKSTEP_TESTS_CONFORMANCE_LAYER_CASES_H_
#define LOCKSTEP_TESTS_CONFORMANCE_LAYER_CASES_H_

#include <cstddef>
#include <ostream>
#include <string>
#include <vector>

#include "gtest/gtest.h"

#include "common/nn/layer.h"

namespace lockstep::testing {

struct LayerCase {
  const LayerDef* def;
  size_t example;
};
std::string NameOf(const LayerCase& layer_case);  // "conv2d_1"
inline std::string LayerCaseName(const ::testing::TestParamInfo<LayerCase>& info) {
  return NameOf(info.param);
}
void PrintTo(const LayerCase& layer_case, std::ostream* out);

std::vector<LayerCase> LayerCases();

// The models, in job-file form. Inputs x0, x1, ...; the layer is called "layer".
std::string ModelOf(const LayerCase& layer_case);
// The same with `trainable: false`.
std::string FrozenModelOf(const LayerCase& layer_case);
// The layer called twice, on inputs of their own: x0, ... and then z0, ...; two outputs.
std::string SharedModelOf(const LayerCase& layer_case);
// The layer called twice on the same inputs: backward meets the call `again` first.
std::string TwiceModelOf(const LayerCase& layer_case);

}  // namespace lockstep::testing

#endif  // LOCKSTEP_TESTS_CONFORMANCE_LAYER_CASES_H_
