#include "cli/run_display.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "nlohmann/json.hpp"

#include "common/plan/model_summary.h"

namespace lockstep::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kBarCells = 20;
constexpr int kBarCellsMin = 5;
constexpr int kYellow = 33;

double NumberAt(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_number() ? found->get<double>() : 0.0;
}

bool IsMetric(absl::string_view key) {
  for (const absl::string_view other :
       {"kind", "step", "epoch", "seconds", "samples_per_second", "seconds_per_step"}) {
    if (key == other) return false;
  }
  return true;
}

// "accuracy: 0.8912 - loss: 0.3021", as Keras rounds.
std::string MetricsText(const Json& json) {
  std::string text;
  for (const auto& [key, value] : json.items()) {
    if (!IsMetric(key) || !value.is_number()) continue;
    const auto number = value.get<double>();
    const bool small = number != 0.0 && std::abs(number) <= 1e-3;
    absl::StrAppend(&text, " - ", key, ": ",
                    small ? absl::StrFormat("%.4e", number) : absl::StrFormat("%.4f", number));
  }
  return text;
}

std::string Bar(double share, int cells = kBarCells) {
  std::string bar;
  const int filled = static_cast<int>(share * cells + 0.5);
  for (int cell = 0; cell < cells; ++cell) bar += cell < filled ? "━" : "─";
  return bar;
}

std::string Clock(double seconds) {
  const auto whole = static_cast<int64_t>(seconds + 0.5);
  if (whole < 60) return absl::StrCat(whole, "s");
  if (whole < 3600) return absl::StrFormat("%d:%02d", whole / 60, whole % 60);
  return absl::StrFormat("%d:%02d:%02d", whole / 3600, whole / 60 % 60, whole % 60);
}

size_t Columns(absl::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

}  // namespace

std::string RunDisplay::Colored(absl::string_view text, int color) const {
  if (!terminal_.color) return std::string(text);
  return absl::StrCat("\x1b[", color, "m", text, "\x1b[0m");
}

void RunDisplay::Draw(const std::string& text) {
  if (!terminal_.live) return;
  std::string shown = text;
  while (static_cast<int>(Columns(shown)) >= terminal_.columns) {
    const size_t cut = shown.rfind(" - ");
    if (cut == std::string::npos) break;
    shown.resize(cut);
  }
  std::fprintf(stderr, "\r\x1b[K%s", shown.c_str());
  std::fflush(stderr);
  drawn_ = true;
}

void RunDisplay::Line(absl::string_view text) {
  std::fprintf(stderr, "%s%.*s\n", drawn_ ? "\r\x1b[K" : "", static_cast<int>(text.size()),
               text.data());
  drawn_ = false;
}

void RunDisplay::Finish() {
  if (drawn_) std::fprintf(stderr, "\n");
  drawn_ = false;
}

void RunDisplay::OnJob(const Job& job) {
  // Several at once, where an attempt has been relaunched without delay.
  for (; seen_changes_ < job.history.size(); ++seen_changes_) {
    const JobTransition& change = job.history[seen_changes_];
    if (change.state != JobState::kRecovering) continue;
    Line(Colored(absl::StrCat("attempt ", change.attempt, " ended at step ", job.step, ": ",
                              change.message, "; going on"),
                 kYellow));
  }
}

void RunDisplay::OnLaunch(const Job&, const LaunchPlan& plan) {
  for (const std::string& warning : plan.warnings) {
    Line(Colored(absl::StrCat("warning: ", warning), kYellow));
  }
}

void RunDisplay::OnProgress(const Job& job, const ProgressLine& line) {
  if (line.kind == ProgressLine::Kind::kStep) return ShowStep(line);
  if (line.kind == ProgressLine::Kind::kEpoch) return ShowEpoch(line);
  if (line.kind == ProgressLine::Kind::kRun) return ShowStart(job, line);
  if (line.kind != ProgressLine::Kind::kOther) return;
  const Json json = Json::parse(line.json, nullptr, /*allow_exceptions=*/false);
  const std::string kind = json.is_object() ? json.value("kind", "") : "";
  if (kind == "warning") {
    Line(Colored(absl::StrCat("warning: ", json.value("message", "")), kYellow));
  } else if (kind == "evaluation") {
    evaluation_ = line.json;
  }
}

void RunDisplay::ShowStart(const Job& job, const ProgressLine& line) {
  const Json json = Json::parse(line.json, nullptr, /*allow_exceptions=*/false);
  total_steps_ = json.value("total_steps", int64_t{0});
  steps_per_epoch_ = json.value("steps_per_epoch", int64_t{0});
  shown_epoch_ = 0;
  if (line.step > 0) Line(absl::StrCat("resuming from step ", line.step));
  if (line.step == 0 && job.attempt > 1) Line("starting again from step 0");
}

void RunDisplay::ShowStep(const ProgressLine& line) {
  if (!terminal_.live || steps_per_epoch_ <= 0) return;
  const Json json = Json::parse(line.json, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return;
  const auto epoch = static_cast<int64_t>(NumberAt(json, "epoch"));
  if (epoch != shown_epoch_) {
    const int64_t epochs = (total_steps_ + steps_per_epoch_ - 1) / steps_per_epoch_;
    Line(absl::StrCat("Epoch ", epoch, "/", epochs));
    shown_epoch_ = epoch;
  }
  const int64_t done = line.step - (epoch - 1) * steps_per_epoch_;
  const int64_t steps = std::min(steps_per_epoch_, total_steps_ - (epoch - 1) * steps_per_epoch_);
  const double rate = NumberAt(json, "samples_per_second");
  const double seconds_per_step = NumberAt(json, "seconds_per_step");
  const std::string count = absl::StrCat(done, "/", steps, " ");
  std::string rest;
  if (seconds_per_step > 0) {
    absl::StrAppend(&rest, " ETA ",
                    Clock(static_cast<double>(total_steps_ - line.step) * seconds_per_step));
  }
  absl::StrAppend(&rest, MetricsText(json), " - ", HumanCount(rate), " samples/s");
  // On a narrow terminal the bar makes room first.
  const int room = terminal_.columns - 1 - static_cast<int>(Columns(count) + Columns(rest));
  const int cells = std::clamp(room, kBarCellsMin, kBarCells);
  Draw(absl::StrCat(count, Bar(static_cast<double>(done) / static_cast<double>(steps), cells),
                    rest));
}

void RunDisplay::ShowEpoch(const ProgressLine& line) {
  const Json json = Json::parse(line.json, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return;
  const auto epoch = static_cast<int64_t>(NumberAt(json, "epoch"));
  const int64_t epochs =
      steps_per_epoch_ > 0 ? (total_steps_ + steps_per_epoch_ - 1) / steps_per_epoch_ : epoch;
  const std::string seconds = Clock(NumberAt(json, "seconds"));
  if (!terminal_.live) {
    Line(absl::StrCat("Epoch ", epoch, "/", epochs, " - ", seconds, MetricsText(json)));
    return;
  }
  const auto step = static_cast<int64_t>(NumberAt(json, "step"));
  const int64_t done = step - (epoch - 1) * steps_per_epoch_;
  Line(absl::StrCat(done, "/", done, " ", Bar(1.0), " ", seconds, MetricsText(json)));
  shown_epoch_ = epoch;
}

}  // namespace lockstep::cli
