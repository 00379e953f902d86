#include "cli/plan_report.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "common/plan/model_summary.h"

namespace lockstep::cli {
namespace {

using Entry = StepBuilder::Entry;
using Rows = std::vector<std::vector<std::string>>;

// The parts of a step beside its calls, in the order of StepPart.
struct NamedPart {
  StepPart part;
  const char* key;
  const char* words;
};
constexpr NamedPart kOtherParts[] = {
    {StepPart::kLoad, "load", "batch into the feed"},
    {StepPart::kReduce, "reduce", "sum of the gradients over all shards"},
    {StepPart::kCheck, "check", "are the sums finite"},
    {StepPart::kUpdate, "update", "optimizer, gathering of values"}};

// One call or collective of a phase.
struct Line {
  size_t index = 0;
  const char* kind = "kernel";
  std::string label, shapes;
  double flops = 0, bytes = 0;
  ExpectedTime expected;
  double measured = -1;  // seconds; negative: not measured

  double time() const { return measured < 0 ? expected.seconds : measured; }
  const char* bound_by() const {
    return expected.seconds <= 0 ? "" : expected.by_memory ? "memory" : "FMA";
  }
};

// `calls`: measured seconds of the phase's entries, or null.
std::vector<Line> LinesOf(const PlanReport& report, const PlannedPhase& phase,
                          const std::vector<double>* calls) {
  std::vector<Line> lines;
  const std::vector<Entry>& entries = phase.phase.builder->entries();
  for (size_t e = 0; e < entries.size(); ++e) {
    Line line{.index = e};
    if (entries[e].kind == Entry::Kind::kCall) {
      const CallInfo& info = entries[e].info;
      line.label = info.label;
      line.shapes = info.shapes;
      line.flops = info.flops;
      line.bytes = info.bytes;
      line.expected = ExpectedTimeOf(*report.roofs, info.flops, info.bytes);
    } else {
      line.kind = "collective";
      line.label = entries[e].collective.label;
    }
    if (calls != nullptr) line.measured = (*calls)[e];
    lines.push_back(std::move(line));
  }
  if (report.by_time) {
    std::stable_sort(lines.begin(), lines.end(),
                     [](const Line& a, const Line& b) { return a.time() > b.time(); });
  }
  return lines;
}

struct Totals {
  double flops = 0, bytes = 0, expected = 0, measured = 0;
};
Totals TotalsOf(const std::vector<Line>& lines) {
  Totals totals;
  for (const Line& line : lines) {
    totals.flops += line.flops;
    totals.bytes += line.bytes;
    totals.expected += line.expected.seconds;
    totals.measured += std::max(line.measured, 0.0);
  }
  return totals;
}

std::string Microseconds(double seconds) {
  return seconds <= 0 ? "" : absl::StrFormat("%.1f us", seconds * 1e6);
}
std::string Percent(double part, double whole) {
  return part <= 0 || whole <= 0 ? "" : absl::StrFormat("%.1f %%", part / whole * 100);
}
std::string Count(double count) { return count > 0 ? HumanCount(count) : ""; }
std::string Bytes(double bytes) { return bytes > 0 ? HumanBytes(static_cast<int64_t>(bytes)) : ""; }

std::string PhaseText(const PlanReport& report, const PlannedPhase& phase,
                      const std::vector<double>* calls) {
  const std::vector<Line> lines = LinesOf(report, phase, calls);
  const Totals totals = TotalsOf(lines);
  const double step = report.profile == nullptr ? 0 : report.profile->step;
  Rows rows = {{"#", "call", "shapes", "FLOPs", "bytes", "bound by", "expected"}};
  std::vector<bool> right = {true, false, false, true, true, false, true};
  if (calls != nullptr) {
    rows[0].insert(rows[0].end(), {"measured", "of step", "of roof"});
    right.insert(right.end(), 3, true);
  }
  for (const Line& line : lines) {
    const bool kernel = line.kind == absl::string_view("kernel");
    std::vector<std::string> row = {absl::StrCat(line.index),
                                    kernel ? line.label : absl::StrCat(line.label, " (collective)"),
                                    line.shapes,
                                    Count(line.flops),
                                    Bytes(line.bytes),
                                    line.bound_by(),
                                    Microseconds(line.expected.seconds)};
    if (calls != nullptr) {
      row.insert(row.end(), {Microseconds(line.measured), Percent(line.measured, step),
                             Percent(line.expected.seconds, line.measured)});
    }
    rows.push_back(std::move(row));
  }
  std::vector<std::string> sum = {
      "", "all", "", Count(totals.flops), Bytes(totals.bytes), "", Microseconds(totals.expected)};
  if (calls != nullptr) {
    sum.insert(sum.end(), {Microseconds(totals.measured), Percent(totals.measured, step),
                           Percent(totals.expected, totals.measured)});
  }
  rows.push_back(std::move(sum));
  return absl::StrCat("phase '", phase.phase.name, "'\n", FormatTable(rows, right), "arena ",
                      HumanBytes(phase.arena.bytes), ", no layout needs less than ",
                      HumanBytes(phase.arena_lower_bound), "\n\n");
}

std::string RoofText(const PlanReport& report) {
  std::string text = absl::StrFormat("roofs of a worker with %d threads: %.0f GFLOP/s",
                                     report.threads, report.roofs->flops / 1e9);
  for (const Roofs::Level& level : report.roofs->levels) {
    absl::StrAppendFormat(&text, ", %.1f GB/s in %s", level.bytes_per_second / 1e9,
                          HumanBytes(static_cast<int64_t>(level.bytes)));
  }
  const BatchGeometry& geometry = report.plan->slices().geometry;
  absl::StrAppend(&text, "\nshapes are of one sample; this worker computes ", geometry.blocks * 16,
                  " slots in ", geometry.blocks, " blocks, ", geometry.shards, " shards\n\n");
  return text;
}

// A step and its parts.
std::string StepText(const StepProfile& profile) {
  Rows rows = {{"of a step", "measured", "of step"}};
  const auto add = [&](const std::string& what, double seconds) {
    rows.push_back({what, Microseconds(seconds), Percent(seconds, profile.step)});
  };
  add("calls and collectives", profile.calls_sum());
  for (const NamedPart& part : kOtherParts) {
    add(part.words, profile.parts[static_cast<size_t>(part.part)]);
  }
  add("overhead: walking the lists, control words, reports", profile.overhead);
  add("step", profile.step);
  add("step while each call is timed", profile.timed_step);
  return absl::StrCat(FormatTable(rows, {false, true, true}), "medians of ", profile.steps,
                      " steps\n\n");
}

std::string MemoryText(const StaticPlan& plan) {
  Rows rows = {{"memory", "bytes"}};
  for (const PersistentBuffer& buffer : plan.persistent()) {
    rows.push_back({buffer.name, HumanBytes(buffer.bytes)});
  }
  rows.push_back({"arena", HumanBytes(plan.arena_bytes())});
  rows.push_back({"in all", HumanBytes(plan.bytes())});
  return FormatTable(rows, {false, true});
}

const std::vector<double>* CallsOf(const PlanReport& report, size_t phase) {
  return report.profile == nullptr ? nullptr : &report.profile->calls[phase];
}

Value PhaseValue(const PlanReport& report, const PlannedPhase& phase,
                 const std::vector<double>* seconds) {
  Value::List calls;
  for (const Line& line : LinesOf(report, phase, seconds)) {
    Value call = Value::MakeMap();
    call.Set("index", Value::Int(static_cast<int64_t>(line.index)));
    call.Set("label", Value::String(line.label));
    call.Set("kind", Value::String(line.kind));
    call.Set("shapes", Value::String(line.shapes));
    call.Set("flops", Value::Float(line.flops));
    call.Set("bytes", Value::Float(line.bytes));
    call.Set("bound_by", Value::String(line.bound_by()));
    call.Set("expected_seconds", Value::Float(line.expected.seconds));
    if (seconds != nullptr) call.Set("measured_seconds", Value::Float(line.measured));
    calls.push_back(std::move(call));
  }
  Value value = Value::MakeMap();
  value.Set("name", Value::String(phase.phase.name));
  value.Set("calls", Value::MakeList(std::move(calls)));
  value.Set("arena_bytes", Value::Int(phase.arena.bytes));
  value.Set("arena_lower_bound_bytes", Value::Int(phase.arena_lower_bound));
  return value;
}

Value RoofValue(const Roofs& roofs) {
  Value::List levels;
  for (const Roofs::Level& level : roofs.levels) {
    Value value = Value::MakeMap();
    value.Set("bytes", Value::Float(level.bytes));
    value.Set("bytes_per_second", Value::Float(level.bytes_per_second));
    levels.push_back(std::move(value));
  }
  Value value = Value::MakeMap();
  value.Set("flops_per_second", Value::Float(roofs.flops));
  value.Set("levels", Value::MakeList(std::move(levels)));
  return value;
}

Value StepValue(const StepProfile& profile) {
  Value value = Value::MakeMap();
  value.Set("steps", Value::Int(profile.steps));
  value.Set("seconds", Value::Float(profile.step));
  value.Set("timed_seconds", Value::Float(profile.timed_step));
  value.Set("calls_seconds", Value::Float(profile.calls_sum()));
  for (const NamedPart& part : kOtherParts) {
    value.Set(absl::StrCat(part.key, "_seconds"),
              Value::Float(profile.parts[static_cast<size_t>(part.part)]));
  }
  value.Set("overhead_seconds", Value::Float(profile.overhead));
  return value;
}

}  // namespace

std::string ToText(const PlanReport& report) {
  const StaticPlan& plan = *report.plan;
  std::string text = RoofText(report);
  for (size_t p = 0; p < plan.train().size(); ++p) {
    absl::StrAppend(&text, PhaseText(report, plan.train()[p], CallsOf(report, p)));
  }
  if (report.profile != nullptr) absl::StrAppend(&text, StepText(*report.profile));
  for (const PlannedEvaluation& evaluation : plan.evaluations()) {
    absl::StrAppend(&text, PhaseText(report, evaluation.phase, nullptr));
  }
  if (plan.pictures().has_value()) {
    absl::StrAppend(&text, PhaseText(report, plan.pictures()->phase, nullptr));
  }
  return absl::StrCat(text, MemoryText(plan));
}

Value ToValue(const PlanReport& report) {
  const StaticPlan& plan = *report.plan;
  Value::List phases;
  for (size_t p = 0; p < plan.train().size(); ++p) {
    phases.push_back(PhaseValue(report, plan.train()[p], CallsOf(report, p)));
  }
  for (const PlannedEvaluation& evaluation : plan.evaluations()) {
    phases.push_back(PhaseValue(report, evaluation.phase, nullptr));
  }
  if (plan.pictures().has_value()) {
    phases.push_back(PhaseValue(report, plan.pictures()->phase, nullptr));
  }
  Value::List buffers;
  for (const PersistentBuffer& buffer : plan.persistent()) {
    Value entry = Value::MakeMap();
    entry.Set("name", Value::String(buffer.name));
    entry.Set("bytes", Value::Int(buffer.bytes));
    buffers.push_back(std::move(entry));
  }
  Value value = Value::MakeMap();
  value.Set("roofs", RoofValue(*report.roofs));
  value.Set("phases", Value::MakeList(std::move(phases)));
  if (report.profile != nullptr) value.Set("step", StepValue(*report.profile));
  value.Set("buffers", Value::MakeList(std::move(buffers)));
  value.Set("arena_bytes", Value::Int(plan.arena_bytes()));
  value.Set("bytes", Value::Int(plan.bytes()));
  return value;
}

}  // namespace lockstep::cli
