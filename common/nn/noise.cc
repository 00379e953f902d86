#include "common/nn/noise.h"

#include <algorithm>

#include "common/base/check.h"
#include "common/base/normal.h"
#include "common/base/philox.h"

namespace lockstep {
namespace {

constexpr int64_t kCounterElements = 4;  // one counter gives four

struct NoiseArgs {
  NoiseKind kind;
  int64_t elements;
  uint64_t key;
  uint32_t source;
  const int64_t* step;  // null: fixed noise
  const int32_t* batch_position;
  float* out;

  int64_t groups() const { return (elements + kCounterElements - 1) / kCounterElements; }
};

float NumberOf(NoiseKind kind, uint32_t word) {
  return kind == NoiseKind::kNormal ? static_cast<float>(NormalOf(word))
                                    : UniformOf(word) * 2.0f - 1.0f;  // exact
}

// Units: block x group of four elements.
void Noise(const NoiseArgs& args, kernels::UnitRange units) {
  const uint64_t step = args.step == nullptr ? 0 : static_cast<uint64_t>(*args.step);
  const uint32_t low = args.step == nullptr ? args.source : static_cast<uint32_t>(step);
  const uint32_t high = args.step == nullptr
                            ? 0
                            : (args.source << 16) | (static_cast<uint32_t>(step >> 32) & 0xFFFFu);
  for (int64_t unit = units.begin; unit < units.end; ++unit) {
    const int64_t block = unit / args.groups();
    const int64_t first = unit % args.groups() * kCounterElements;
    const int64_t count = std::min(kCounterElements, args.elements - first);
    float* const out = args.out + (block * args.elements + first) * kernels::kBlockLanes;
    for (int lane = 0; lane < kernels::kBlockLanes; ++lane) {
      const int32_t position = args.batch_position[block * kernels::kBlockLanes + lane];
      const PhiloxBlock words = Philox({static_cast<uint32_t>(first / kCounterElements),
                                        static_cast<uint32_t>(position), low, high},
                                       args.key);
      for (int64_t k = 0; k < count; ++k) {
        out[k * kernels::kBlockLanes + lane] = NumberOf(args.kind, words[static_cast<size_t>(k)]);
      }
    }
  }
}

}  // namespace

Slice RecordNoise(StepBuilder& builder, const NoiseUse& use) {
  LOCKSTEP_CHECK(use.source < (1u << 16));
  const Slice out = builder.AllocateActivation(use.elements);
  const double values =
      static_cast<double>(builder.geometry().blocks * kernels::kBlockLanes * use.elements);
  builder.Call(
      {.label = use.label, .bytes = 4.0 * values, .checked = out, .features = use.elements},
      [=, &builder](const Binder& at) {
        const StepBuilder::RunInputs& run = builder.inputs();
        const NoiseArgs args{.kind = use.kind,
                             .elements = use.elements,
                             .key = use.fixed ? run.fixed_noise_key : run.noise_key,
                             .source = use.source,
                             .step = use.fixed ? nullptr : at.At<int64_t>(run.step),
                             .batch_position = at.At<int32_t>(run.batch_position),
                             .out = at.At(out)};
        return BindKernel(&Noise, args, builder.geometry().blocks * args.groups());
      });
  return out;
}

}  // namespace lockstep
