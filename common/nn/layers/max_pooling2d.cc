// MaxPooling2D: the greatest cell of each window; the first one wins a tie
// (docs/NUMERICS.md#5-layers).
#include "common/nn/pooling.h"

namespace lockstep::layers::max_pooling2d {
namespace {

// One byte holds the winner's index inside its window.
constexpr int64_t kWindowMax = 255;

class MaxPooling2d final : public Layer {
 public:
  explicit MaxPooling2d(const kernels::PoolGeometry& geometry) : g_(geometry) {
    output_shape_ = Shape{g_.out_h, g_.out_w, g_.channels};
    flops_ = static_cast<double>(output_shape_.elements() * g_.pool_h * g_.pool_w);
  }

  Absorbable absorbable() const override {
    return {.kind = Absorbable::Kind::kMaxPooling2d, .pool = g_};
  }

  void Forward(StepBuilder& builder, LayerCall& call) const override {
    const int64_t elements = output_shape_.elements();
    const Slice x = call.inputs[0];
    const Slice y = builder.AllocateActivation(elements);
    const int64_t blocks = builder.geometry().blocks;
    const Slice choice =
        call.training ? builder.Allocate(blocks * elements * kernels::kBlockLanes) : Slice{};
    call.output = y;
    call.saved = {choice};
    CallInfo info = PoolingInfo(builder, call.label + "/forward", g_);
    info.checked = y;
    info.features = elements;
    builder.Call(std::move(info), [=, this](const Binder& at) {
      const kernels::MaxPoolForwardArgs args{g_, blocks, at.At(x), at.At(y),
                                             at.At<uint8_t>(choice)};
      return BindKernel(&kernels::MaxPoolForward, args, kernels::MaxPoolForwardUnits(args));
    });
  }

  void Backward(StepBuilder& builder, LayerCall& call, Slice d_output,
                absl::Span<GradientSink* const> d_inputs) const override {
    if (!d_inputs[0]->wanted()) return;
    const GradientSink::Target target = d_inputs[0]->Write(builder);
    const int64_t blocks = builder.geometry().blocks;
    CallInfo info = PoolingInfo(builder, call.label + "/backward", g_);
    info.checked = target.slice;
    info.features = g_.height * g_.width * g_.channels;
    builder.Call(std::move(info), [=, this, choice = call.saved[0]](const Binder& at) {
      const kernels::MaxPoolBackwardArgs args{g_,
                                              blocks,
                                              at.At(d_output),
                                              at.At<uint8_t>(choice),
                                              at.At(target.slice),
                                              target.accumulate};
      return BindKernel(&kernels::MaxPoolBackward, args, kernels::MaxPoolBackwardUnits(args));
    });
  }

 private:
  kernels::PoolGeometry g_;
};

absl::StatusOr<std::unique_ptr<Layer>> Make(const Options& options,
                                            absl::Span<const Shape> inputs) {
  LOCKSTEP_RETURN_IF_ERROR(CheckInputCount(inputs.size(), 1));
  LOCKSTEP_ASSIGN_OR_RETURN(const kernels::PoolGeometry geometry,
                            PoolingGeometry(options, inputs[0]));
  if (geometry.pool_h > kWindowMax / geometry.pool_w) {
    return absl::InvalidArgumentError(absl::StrCat("window of ", geometry.pool_h, " x ",
                                                   geometry.pool_w, " has more than ", kWindowMax,
                                                   " cells; reduce 'pool_size'"));
  }
  return std::make_unique<MaxPooling2d>(geometry);
}

constexpr LayerExample kExamples[] = {
    {.options = "{}", .inputs = {{6, 7, 3}}},
    {.options = "{pool_size: 3, strides: 2, padding: same}", .inputs = {{5, 6, 2}}},
    {.options = "{pool_size: [1, 4], strides: [2, 1]}", .inputs = {{5, 6, 1}}},
};

}  // namespace

extern const LayerDef kDef;
constinit const LayerDef kDef = {"max_pooling2d", "greatest value of each window", kPoolingOptions,
                                 &Make, kExamples};

}  // namespace lockstep::layers::max_pooling2d
