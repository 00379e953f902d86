// Probe: one pass of a program in this process, over any count of ranks and threads, with chosen
// samples and variables; everything it leaves comes back in batch order. What a test's program
// reads beside the models' inputs, and what it leaves, travels in further input fields of the data,
// so that nothing of the product is changed for it.
#ifndef LOCKSTEP_TESTS_CONFORMANCE_PROBE_H_
#define LOCKSTEP_TESTS_CONFORMANCE_PROBE_H_

#include <cstdint>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"

#include "common/data/dataset.h"
#include "common/plan/program.h"

namespace lockstep::testing {

// Who computes a batch; none of it may change a bit.
struct Split {
  int ranks = 1;
  int threads = 1;
  int hosts = 1;
  absl::string_view simd = {};  // empty: what the process has chosen
};
std::ostream& operator<<(std::ostream& out, const Split& split);

// 1, 2, 3, 5 and 8 ranks, 1 to 3 threads, on every SIMD target of this CPU. For 8 shards or more.
std::vector<Split> AllSplits();

enum class Pass { kTrain, kEvaluate };

// Values by the path of their variable.
using NamedValues = std::vector<std::pair<std::string, std::vector<float>>>;

struct ProbeRequest {
  std::string job;  // YAML; data sources are ignored but must be there
  const ProgramDef* program = nullptr;
  const Dataset* data = nullptr;
  int64_t samples = 0;  // n of the batch: the first ones of the data
  Pass pass = Pass::kTrain;
  int64_t step = 0;
  NamedValues variables = {};  // all of them, or none: the job's initial values
};

struct ProbeResult {
  // By data input, its rows after the pass, in batch order; empty where they are no floats.
  std::vector<std::vector<float>> fields;
  NamedValues variables;     // after the pass
  NamedValues gradients;     // of the trainable variables, summed over all shards
  std::vector<double> sums;  // the shard tree over JobGraph's sums
};

// Every phase of the program, gradients reduced, nothing updated. Ranks that disagree on a
// variable are an INTERNAL error.
absl::StatusOr<ProbeResult> RunProbe(const ProbeRequest& request, const Split& split);

// Equal bits, any NaN equal to any other (docs/NUMERICS.md#1-ground-rules).
::testing::AssertionResult SameBits(const std::vector<float>& actual,
                                    const std::vector<float>& expected);
::testing::AssertionResult SameBits(const NamedValues& actual, const NamedValues& expected);
::testing::AssertionResult SameBits(const ProbeResult& actual, const ProbeResult& expected);

// Parts of test programs. `elements`: of one sample.

// rows[slot][e] = values[block][e][lane]: what a field of the data brings home.
void RecordRows(StepBuilder& builder, int64_t elements, Slice values, Slice rows);
// NaN in every slot without a sample: block.h calls it garbage, so no sum may meet it.
void RecordGarbage(StepBuilder& builder, int64_t elements, Slice values);
// NaN in every temporary of the pass, whenever it is recorded: first of all, so that what nobody
// writes stays NaN.
void RecordUnwritten(StepBuilder& builder);

}  // namespace lockstep::testing

#endif  // LOCKSTEP_TESTS_CONFORMANCE_PROBE_H_
