#include "common/env/cpu_quota.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

#include "common/env/proc_file.h"

namespace lockstep {
namespace {

// The numbers of a line; empty where one is none ("max") or the file is not there.
std::vector<double> NumbersOf(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadProcFile(path);
  std::vector<double> numbers;
  if (!text.ok()) return numbers;
  for (const absl::string_view word : absl::StrSplit(absl::StripAsciiWhitespace(*text), ' ')) {
    double number = 0;
    if (!absl::SimpleAtod(word, &number)) return {};
    numbers.push_back(number);
  }
  return numbers;
}

void Lower(std::optional<double>& least, double quota, double period) {
  if (quota <= 0 || period <= 0) return;  // -1: no limit
  least = std::min(least.value_or(quota / period), quota / period);
}

// `path` and all above it, as directories of `root`; a container may see none but the root itself.
std::vector<std::string> Ancestors(absl::string_view root, absl::string_view path) {
  std::vector<std::string> directories;
  for (std::string left(path); !left.empty(); left.resize(left.rfind('/'))) {
    directories.push_back(absl::StrCat(root, left));
    if (left.rfind('/') == std::string::npos) break;
  }
  directories.emplace_back(root);
  return directories;
}

}  // namespace

std::optional<double> CpuQuota(absl::string_view own, absl::string_view root) {
  std::optional<double> least;
  for (const absl::string_view line : absl::StrSplit(own, '\n', absl::SkipEmpty())) {
    // "0::/user.slice" is version 2, "4:cpu,cpuacct:/docker/1" version 1.
    const std::vector<absl::string_view> parts = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() != 3) continue;
    if (parts[1].empty()) {
      for (const std::string& directory : Ancestors(root, parts[2])) {
        const std::vector<double> max = NumbersOf(absl::StrCat(directory, "/cpu.max"));
        if (max.size() == 2) Lower(least, max[0], max[1]);
      }
      continue;
    }
    const std::vector<absl::string_view> controllers = absl::StrSplit(parts[1], ',');
    if (std::find(controllers.begin(), controllers.end(), "cpu") == controllers.end()) continue;
    for (const absl::string_view mount : {absl::string_view(parts[1]), absl::string_view("cpu")}) {
      for (const std::string& directory : Ancestors(absl::StrCat(root, "/", mount), parts[2])) {
        const std::vector<double> quota = NumbersOf(absl::StrCat(directory, "/cpu.cfs_quota_us"));
        const std::vector<double> period = NumbersOf(absl::StrCat(directory, "/cpu.cfs_period_us"));
        if (quota.size() == 1 && period.size() == 1) Lower(least, quota[0], period[0]);
      }
    }
  }
  return least;
}

}  // namespace lockstep
