// Timing on a machine that is shared and noisy: contenders take turns, so that a slow moment hits
// all of them; what is reported are medians, and medians of ratios of the same turn. Thread: the
// caller's. Errors: none; a bench that cannot run ends the process with a message.
#ifndef LOCKSTEP_BENCH_HARNESS_H_
#define LOCKSTEP_BENCH_HARNESS_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace lockstep::bench {

struct Contender {
  std::string name;
  std::function<void()> run;  // one measurement: enough work for 100 us at least
};

// Seconds of every turn of one contender, in order.
struct Times {
  std::string name;
  std::vector<double> seconds;

  double median() const;
  double min() const;
  // Median absolute deviation: half of the turns lie within median +- mad.
  double mad() const;
};

struct Effort {
  double seconds = 2.0;  // in all, at least
  int turns_min = 20;
  int warm_up = 3;  // turns that do not count
};

std::vector<Times> TakeTurns(const std::vector<Contender>& contenders, const Effort& effort = {});

// The middle of a[i] / b[i], and the quartiles around it.
struct Ratio {
  double median = 0;
  double low = 0;
  double high = 0;
};
Ratio RatioOf(const Times& a, const Times& b);

// CPU model, cores, SIMD target, governor: one line, so that figures can be read later.
std::string MachineLine();

// Ends the process with the status's message unless it is OK.
void Require(const absl::Status& status);

}  // namespace lockstep::bench

#endif  // LOCKSTEP_BENCH_HARNESS_H_
