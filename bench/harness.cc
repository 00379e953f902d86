#include "bench/harness.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

#include "common/base/check.h"
#include "common/env/clock.h"
#include "common/env/host.h"
#include "common/env/proc_file.h"
#include "common/kernels/simd_target.h"

namespace lockstep::bench {
namespace {

// The value below which `share` of the values lie.
double Quantile(std::vector<double> values, double share) {
  LOCKSTEP_CHECK(!values.empty());
  const auto place = static_cast<size_t>(share * static_cast<double>(values.size() - 1) + 0.5);
  std::nth_element(values.begin(), values.begin() + static_cast<int64_t>(place), values.end());
  return values[place];
}

double Now() { return absl::ToDoubleSeconds(RealClock().Monotonic()); }

std::string CpuModel() {
  const absl::StatusOr<std::string> info = ReadProcFile("/proc/cpuinfo");
  if (!info.ok()) return "unknown CPU";
  std::string model, family;
  for (absl::string_view line : absl::StrSplit(*info, '\n')) {
    const std::vector<absl::string_view> parts = absl::StrSplit(line, absl::MaxSplits(':', 1));
    if (parts.size() != 2) continue;
    const absl::string_view key = absl::StripAsciiWhitespace(parts[0]);
    const absl::string_view value = absl::StripAsciiWhitespace(parts[1]);
    if (key == "model name" && model.empty()) model = std::string(value);
    if ((key == "cpu family" || key == "model") && family.size() < 20) {
      absl::StrAppend(&family, family.empty() ? "" : " ", key, " ", value);
    }
  }
  return absl::StrCat(model, " (", family, ")");
}

}  // namespace

double Times::median() const { return Quantile(seconds, 0.5); }
double Times::min() const { return *std::min_element(seconds.begin(), seconds.end()); }

double Times::mad() const {
  const double middle = median();
  std::vector<double> deviations;
  for (const double time : seconds) deviations.push_back(std::abs(time - middle));
  return Quantile(deviations, 0.5);
}

std::vector<Times> TakeTurns(const std::vector<Contender>& contenders, const Effort& effort) {
  std::vector<Times> times;
  for (const Contender& contender : contenders) times.push_back({.name = contender.name});
  for (int turn = 0; turn < effort.warm_up; ++turn) {
    for (const Contender& contender : contenders) contender.run();
  }
  const double start = Now();
  for (int turn = 0; turn < effort.turns_min || Now() - start < effort.seconds; ++turn) {
    for (size_t i = 0; i < contenders.size(); ++i) {
      const double begin = Now();
      contenders[i].run();
      times[i].seconds.push_back(Now() - begin);
    }
  }
  return times;
}

Ratio RatioOf(const Times& a, const Times& b) {
  std::vector<double> ratios;
  for (size_t i = 0; i < std::min(a.seconds.size(), b.seconds.size()); ++i) {
    ratios.push_back(a.seconds[i] / b.seconds[i]);
  }
  return {Quantile(ratios, 0.5), Quantile(ratios, 0.25), Quantile(ratios, 0.75)};
}

std::string MachineLine() {
  const absl::StatusOr<std::string> governor =
      ReadProcFile("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
  return absl::StrCat(CpuModel(), ", ", UsableCores(), " cores, ", kernels::SimdName(),
                      ", governor ",
                      governor.ok() ? absl::StripAsciiWhitespace(*governor) : "unknown");
}

void Require(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "error: %s\n", std::string(status.message()).c_str());
  std::exit(1);
}

}  // namespace lockstep::bench
