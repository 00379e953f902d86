// MakePictures: the pictures of the values of now, by the plan's list for them. Thread: the
// trainer's, between steps. Other ranks take no part.
#ifndef LOCKSTEP_WORKER_TRAIN_PICTURES_H_
#define LOCKSTEP_WORKER_TRAIN_PICTURES_H_

#include <cstdint>

#include "common/plan/static_plan.h"
#include "worker/train/step_executor.h"
#include "worker/train/training_observer.h"

namespace lockstep {

// `plan`: one with pictures; the executor's.
PicturesReport MakePictures(const StaticPlan& plan, StepExecutor& executor, int64_t epoch);

}  // namespace lockstep

#endif  // LOCKSTEP_WORKER_TRAIN_PICTURES_H_
