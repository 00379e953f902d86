// RunDisplay: a job's life on stderr as Keras shows it: on a terminal one line that is drawn again
// and again, with ETA and rate, otherwise one line per epoch; and what went wrong and on from
// there. Thread: the job loop's. Errors: none.
#ifndef LOCKSTEP_CLI_RUN_DISPLAY_H_
#define LOCKSTEP_CLI_RUN_DISPLAY_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "cli/terminal.h"

#include "coordinator/app/embedded_coordinator.h"

namespace lockstep::cli {

class RunDisplay final : public JobObserver {
 public:
  explicit RunDisplay(const Terminal& terminal) : terminal_(terminal) {}

  void OnJob(const Job& job) override;
  void OnLaunch(const Job& job, const LaunchPlan& plan) override;
  void OnProgress(const Job& job, const ProgressLine& line) override;

  // Ends a line that is being drawn; whoever writes to stderr next begins at its start.
  void Finish();

  // The worker's {"kind":"evaluation"} line; empty until there is one.
  const std::string& evaluation() const { return evaluation_; }

 private:
  void ShowStart(const Job& job, const ProgressLine& line);
  void ShowStep(const ProgressLine& line);
  void ShowEpoch(const ProgressLine& line);
  void Draw(const std::string& text);  // in place, where that can be
  void Line(absl::string_view text);   // for good
  std::string Colored(absl::string_view text, int color) const;

  const Terminal terminal_;
  int64_t total_steps_ = 0;
  int64_t steps_per_epoch_ = 0;
  int64_t shown_epoch_ = 0;  // whose heading stands
  size_t seen_changes_ = 0;  // of the job's history
  bool drawn_ = false;       // an unfinished line stands
  std::string evaluation_;
};

}  // namespace lockstep::cli

#endif  // LOCKSTEP_CLI_RUN_DISPLAY_H_
