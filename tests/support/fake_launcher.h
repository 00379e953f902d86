// FakeLauncher: attempts that live in the test. The test says what they report and when they end,
// and reads what they were told.
#ifndef LOCKSTEP_TESTS_SUPPORT_FAKE_LAUNCHER_H_
#define LOCKSTEP_TESTS_SUPPORT_FAKE_LAUNCHER_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

#include "coordinator/launch/launcher.h"

namespace lockstep::testing {

class FakeLauncher final : public Launcher {
 public:
  struct Control {
    int attempt = 0;
    std::vector<ProgressLine> progress = {};  // handed out at the next poll
    std::optional<AttemptExit> exit = {};     // set by the test: the attempt has ended
    int asked_to_checkpoint = 0, asked_to_stop = 0, killed = 0, cleaned_up = 0;
    bool ends_when_killed = true;
    bool destroyed = false;

    void Report(const std::string& line) { progress.push_back(ParseProgressLine(line).value()); }
    bool alive() const { return !exit.has_value() && !destroyed; }
  };

  absl::StatusOr<LaunchPlan> Plan(const AttemptSpec& spec, const HostFacts&) const override {
    LaunchPlan plan;
    plan.attempt = spec.attempt;
    plan.argv = spec.command;
    return plan;
  }

  absl::StatusOr<std::unique_ptr<Attempt>> Start(const LaunchPlan& plan) override {
    if (!next_start.ok()) return std::exchange(next_start, absl::OkStatus());
    attempts.push_back(std::make_shared<Control>(Control{.attempt = plan.attempt}));
    return std::make_unique<FakeAttempt>(attempts.back());
  }

  std::vector<std::shared_ptr<Control>> attempts;  // in the order of their start
  absl::Status next_start;                         // what the next Start fails with

 private:
  class FakeAttempt final : public Attempt {
   public:
    explicit FakeAttempt(std::shared_ptr<Control> control) : control_(std::move(control)) {}
    ~FakeAttempt() override { control_->destroyed = true; }

    std::optional<AttemptExit> Poll() override { return control_->exit; }
    std::vector<ProgressLine> Progress() override { return std::exchange(control_->progress, {}); }
    void AskToCheckpoint() override { ++control_->asked_to_checkpoint; }
    void AskToStop() override { ++control_->asked_to_stop; }
    void Kill() override {
      ++control_->killed;
      if (control_->ends_when_killed && !control_->exit.has_value())
        control_->exit = AttemptExit{.signal = 9};
    }
    absl::Status CleanUp() override {
      ++control_->cleaned_up;
      return absl::OkStatus();
    }

   private:
    std::shared_ptr<Control> control_;
  };
};

}  // namespace lockstep::testing

#endif  // LOCKSTEP_TESTS_SUPPORT_FAKE_LAUNCHER_H_
