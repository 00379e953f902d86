#include "common/kernels/simd_target.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "common/base/check.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "common/kernels/simd_target.cc"
#include "hwy/foreach_target.h"  // Must come before highway.h.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace lockstep::kernels {
namespace HWY_NAMESPACE {
namespace {

// What this body was compiled for: the answer of a real dispatch, not of a setting.
int64_t CompiledTarget() { return HWY_TARGET; }

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace lockstep::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lockstep::kernels {
namespace {

HWY_EXPORT(CompiledTarget);

struct NamedTarget {
  absl::string_view name;
  int64_t target;
};

// Worst first.
constexpr NamedTarget kTargets[] = {
    {"neon", HWY_NEON},
    {"avx2", HWY_AVX2},
    {"avx512", HWY_AVX3},
};

// What the CPU has, before any forcing.
int64_t CpuTargets() {
  static const int64_t targets = hwy::SupportedTargets() & HWY_TARGETS;
  return targets;
}

// What an x86 CPU calls itself; others do not say it to programs.
std::string BrandString() {
  std::string name;
#if defined(__x86_64__)
  for (unsigned leaf = 0x80000002; leaf <= 0x80000004; ++leaf) {
    unsigned words[4] = {};
    if (__get_cpuid(leaf, &words[0], &words[1], &words[2], &words[3]) == 0) return "";
    char text[sizeof(words)];
    std::memcpy(text, words, sizeof(words));
    name.append(text, sizeof(text));
  }
  name.resize(std::min(name.find('\0'), name.size()));
#endif
  return std::string(absl::StripAsciiWhitespace(name));
}

int64_t TargetNamed(absl::string_view name) {
  for (const NamedTarget& known : kTargets) {
    if (known.name == name) return known.target;
  }
  return 0;
}

}  // namespace

CpuFacts ThisCpu() { return {.name = BrandString(), .has_target = CpuTargets() != 0}; }

absl::Status CheckCpu(const CpuFacts& cpu) {
  if (cpu.has_target) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "simd: this CPU (", cpu.name.empty() ? "of no known name" : cpu.name,
      ") has neither AVX2 with FMA (x86-64-v3) nor NEON (ARMv8); run on a newer machine"));
}

absl::Status InitSimd() {
  const absl::Status accepted = CheckCpu(ThisCpu());
  if (!accepted.ok()) return accepted;
  const char* forced = std::getenv("LOCKSTEP_SIMD");
  if (forced == nullptr || *forced == '\0') return absl::OkStatus();
  const int64_t target = TargetNamed(forced);
  if ((target & CpuTargets()) == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("LOCKSTEP_SIMD: '", forced, "' is ",
                     target == 0 ? "no SIMD target" : "not supported by this CPU", "; use one of ",
                     absl::StrJoin(SupportedSimd(), ", "), " or leave it unset"));
  }
  hwy::SetSupportedTargetsForTest(target);
  return absl::OkStatus();
}

absl::string_view SimdName() {
  const int64_t target = HWY_DYNAMIC_DISPATCH(CompiledTarget)();
  for (const NamedTarget& known : kTargets) {
    if (known.target == target) return known.name;
  }
  LOCKSTEP_CHECK(false);
  return "";
}

std::vector<absl::string_view> SupportedSimd() {
  std::vector<absl::string_view> names;
  for (const NamedTarget& known : kTargets) {
    if ((known.target & CpuTargets()) != 0) names.push_back(known.name);
  }
  return names;
}

ScopedSimdForTest::ScopedSimdForTest(absl::string_view name) {
  const int64_t target = TargetNamed(name);
  LOCKSTEP_CHECK((target & CpuTargets()) != 0);
  hwy::SetSupportedTargetsForTest(target);
}

ScopedSimdForTest::~ScopedSimdForTest() { hwy::SetSupportedTargetsForTest(0); }

}  // namespace lockstep::kernels
#endif  // HWY_ONCE
