#include "worker/train/pictures.h"

#include <algorithm>
#include <numeric>

namespace lockstep {

PicturesReport MakePictures(const StaticPlan& plan, StepExecutor& executor, int64_t epoch) {
  const PlannedPictures& pictures = *plan.pictures();
  const int64_t size = pictures.sheet.picture.elements();
  const int64_t count = pictures.sheet.rows * pictures.sheet.columns;
  const int64_t slots = int64_t{kernels::kBlockLanes} * plan.slices().geometry.blocks;
  auto* const number = executor.At<int32_t>(plan.slices().run_inputs.batch_position);
  const auto* const bytes = executor.At<uint8_t>(pictures.bytes);
  PicturesReport report{.epoch = epoch, .sheet = pictures.sheet};
  for (int64_t first = 0; first < count; first += slots) {
    std::iota(number, number + slots, static_cast<int32_t>(first));
    executor.RunPictures();
    report.bytes.insert(report.bytes.end(), bytes, bytes + std::min(slots, count - first) * size);
  }
  return report;
}

}  // namespace lockstep
