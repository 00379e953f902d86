#include "bench/roofs.h"

#include "bench/harness.h"
#include "worker/profile/roofs.h"

namespace lockstep::bench {

Roofs MeasureRoofs() {
  const absl::StatusOr<lockstep::Roofs> roofs =
      lockstep::MeasureRoofs(/*threads=*/1, RoofEffort::kThorough);
  Require(roofs.status());
  return {.flops = roofs->flops,
          .bytes = roofs->levels.back().bytes_per_second,
          .cache_bytes = roofs->levels.front().bytes_per_second};
}

}  // namespace lockstep::bench
