// LossReference: every loss and its derivative in double, from its definition, for one sample; with
// the error that f32 may have. Shares no code with the kernels.
#ifndef LOCKSTEP_TESTS_CONFORMANCE_LOSS_REFERENCE_H_
#define LOCKSTEP_TESTS_CONFORMANCE_LOSS_REFERENCE_H_

#include <vector>

#include "absl/strings/string_view.h"

namespace lockstep::testing {

struct LossTruth {
  double loss = 0;
  double loss_bound = 0;
  std::vector<double> d_x;
  std::vector<double> d_x_bound;
};

// What a loss holds its outputs for.
enum class OutputForm { kLogits, kProbabilities, kValues };

struct LossReference {
  absl::string_view loss;  // the registry's name
  OutputForm form;
  // `t`: one value per output; of class labels, 1 at the label and 0 elsewhere.
  LossTruth (*truth)(const std::vector<double>& x, const std::vector<double>& t);
};

// Null where the definition of this loss has not been written down here yet: add it.
const LossReference* FindLossReference(absl::string_view loss, OutputForm form);

}  // namespace lockstep::testing

#endif  // LOCKSTEP_TESTS_CONFORMANCE_LOSS_REFERENCE_H_
