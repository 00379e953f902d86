// PlanReport: a worker's plan beside this machine's roofs and, where it was measured, what it
// takes; as text and as a Value for JSON. Pure.
#ifndef LOCKSTEP_CLI_PLAN_REPORT_H_
#define LOCKSTEP_CLI_PLAN_REPORT_H_

#include <string>

#include "common/plan/static_plan.h"
#include "common/spec/value.h"
#include "worker/profile/roofs.h"
#include "worker/profile/step_profile.h"

namespace lockstep::cli {

// What it points to outlives it.
struct PlanReport {
  const StaticPlan* plan = nullptr;
  const Roofs* roofs = nullptr;
  int64_t threads = 1;
  const StepProfile* profile = nullptr;  // null: nothing was measured
  bool by_time = false;                  // calls with the longest first
};

std::string ToText(const PlanReport& report);
Value ToValue(const PlanReport& report);

}  // namespace lockstep::cli

#endif  // LOCKSTEP_CLI_PLAN_REPORT_H_
