// What the tests against Keras share: a program that shows a model's outputs, and distances from
// float64 truth (make_*_goldens.py) in units of 2^-24 of an array's size, so that a bound reads as
// a count of float32 roundings. Thread: the test's.
#ifndef LOCKSTEP_TESTS_GOLDEN_KERAS_KERAS_CASE_H_
#define LOCKSTEP_TESTS_GOLDEN_KERAS_KERAS_CASE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "common/data/dataset.h"
#include "tests/conformance/probe.h"
#include "tests/golden/golden_file.h"

namespace lockstep::testing {

// A program of one model that trains as `supervised` does and brings its outputs home: they fill
// the last input fields of the data, one for each output (AddOutputFields).
extern const ProgramDef kSupervisedProbe;

// The first samples of the job's training set in memory, `target` what its targets are called.
absl::StatusOr<Dataset> FirstSamples(const std::string& job, const std::string& target,
                                     int64_t samples);

// Adds a field of zeros for each output shape.
void AddOutputFields(Dataset& data, const std::vector<Shape>& outputs);

// How far values are from truth, in units of 2^-24 of truth's root mean square.
struct Distance {
  double typical = 0;  // the median over the entries
  double worst = 0;
};

// Of all entries.
Distance DistanceOf(const std::vector<float>& actual, const std::vector<double>& truth);
// Of an array by its summary: entries k * stride mod size with the odd stride (size / 64) | 1;
// `worst` also takes the norm and the sum, by the norm.
Distance DistanceOf(const std::vector<float>& actual, const Golden& truth);
// Of numbers that each have a size of their own; a zero of truth must be met exactly.
Distance DistanceOfNumbers(const std::vector<double>& actual, const std::vector<double>& truth);

// What an array may be away from truth; --gtest_output=json shows what it is.
using Bound = Distance;
void ExpectWithin(const Distance& distance, const Bound& bound, const std::string& what);

// "conv2d/kernel" is "conv2d.kernel" in the file.
std::string TruthName(absl::string_view path);

}  // namespace lockstep::testing

#endif  // LOCKSTEP_TESTS_GOLDEN_KERAS_KERAS_CASE_H_
