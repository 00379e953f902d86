#include "coordinator/jobs/progress_watch.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace lockstep {
namespace {

constexpr char kTraining[] = "train";

}  // namespace

void ProgressWatch::OnLine(const ProgressLine& line, absl::Duration now) {
  switch (line.kind) {
    case ProgressLine::Kind::kStep:
      if (timing_) steps_[step_count_++ % kSteps] = now - life_;
      phase_ = kTraining;
      step_ = line.step;
      timing_ = true;
      break;
    case ProgressLine::Kind::kPhase:
      phase_ = line.phase;
      timing_ = false;
      break;
    default:
      // A checkpoint is written beside training: its end says nothing about steps.
      if (phase_ == kTraining) return;
      break;
  }
  life_ = now;
}

std::optional<std::string> ProgressWatch::Hung(absl::Duration now) const {
  const absl::Duration silence = now - life_;
  const bool training = phase_ == kTraining && step_ > 0;
  const absl::Duration limit =
      training ? std::max(limits_.step_floor, limits_.step_factor * MedianStep()) : limits_.phase;
  if (silence <= limit) return std::nullopt;
  const std::string where =
      training ? absl::StrCat("after step ", step_) : absl::StrCat("in phase ", phase_);
  return absl::StrCat("no progress ", where, " for ", absl::FormatDuration(silence), " (limit ",
                      absl::FormatDuration(limit), ")");
}

absl::Duration ProgressWatch::MedianStep() const {
  const size_t count = std::min(step_count_, kSteps);
  if (count == 0) return absl::ZeroDuration();
  std::array<absl::Duration, kSteps> sorted = steps_;
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(count / 2);
  std::nth_element(sorted.begin(), middle, sorted.begin() + static_cast<std::ptrdiff_t>(count));
  return *middle;
}

}  // namespace lockstep
