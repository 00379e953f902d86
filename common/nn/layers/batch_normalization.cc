// BatchNormalization over the channels, statistics over the global batch: the moments of each
// subtree are merged along the shard tree by a collective inside the plan, so they do not depend on
// the number of workers. gamma, beta, moving_mean, moving_variance [C]; docs/NUMERICS.md#5-layers
// (Ioffe & Szegedy 2015; biased variance as Keras 3). A ReLU behind it becomes part of its passes.
#include <algorithm>

#include "common/kernels/batch_norm.h"
#include "common/nn/layer_support.h"

namespace lockstep::layers::batch_normalization {
namespace {

constexpr OptionDoc kOptions[] = {
    {.name = "momentum",
     .type = OptionType::kFloat,
     .fallback = "0.99",
     .min = 0,
     .max = 1,
     .help = "weight of the old moving value"},
    {.name = "epsilon",
     .type = OptionType::kFloat,
     .fallback = "0.001",
     .min = 0,
     .help = "added to the variance"},
    {.name = "center", .type = OptionType::kBool, .fallback = "true", .help = "add beta"},
    {.name = "scale", .type = OptionType::kBool, .fallback = "true", .help = "multiply by gamma"},
    InitializerOption("beta_initializer", "zeros"),
    InitializerOption("gamma_initializer", "ones"),
    InitializerOption("moving_mean_initializer", "zeros"),
    InitializerOption("moving_variance_initializer", "ones"),
};

constexpr int64_t kFloatBytes = 4;

class BatchNormalization final : public Layer {
 public:
  BatchNormalization(const Options& options, const Shape& input)
      : channels_(input.back()),
        positions_(input.elements() / input.back()),
        scale_(options.GetBool("scale")),
        center_(options.GetBool("center")),
        momentum_(static_cast<float>(options.GetFloat("momentum"))),
        epsilon_(static_cast<float>(options.GetFloat("epsilon"))) {
    output_shape_ = input;
    const Shape per_channel{channels_};
    if (scale_) variables_.push_back({"gamma", per_channel, options.GetNode("gamma_initializer")});
    if (center_) variables_.push_back({"beta", per_channel, options.GetNode("beta_initializer")});
    variables_.push_back(
        {"moving_mean", per_channel, options.GetNode("moving_mean_initializer"), false});
    variables_.push_back(
        {"moving_variance", per_channel, options.GetNode("moving_variance_initializer"), false});
    flops_ = 8.0 * static_cast<double>(input.elements());
  }

  std::unique_ptr<Layer> Absorb(const Absorbable& next) const override {
    if (relu_ || next.kind != Absorbable::Kind::kActivation ||
        next.activation != ActivationKind::kRelu) {
      return nullptr;
    }
    auto both = std::make_unique<BatchNormalization>(*this);
    both->relu_ = true;
    return both;
  }

  void Forward(StepBuilder& builder, LayerCall& call) const override {
    call.output = builder.AllocateActivation(output_shape_.elements());
    const Slice moving_mean = call.variables[Gammas()];
    const Slice moving_variance = call.variables[Gammas() + 1];
    if (!UsesBatch(call)) {
      RecordApply(builder, call, moving_mean, moving_variance);
      return;
    }
    const Slice moments = RecordMoments(builder, call);
    const Slice mean = builder.Allocate(channels_ * kFloatBytes);
    const Slice variance = builder.Allocate(channels_ * kFloatBytes);
    const Slice count = builder.Allocate(sizeof(double));
    builder.Call({.label = call.label + "/finish"}, [=, this](const Binder& at) {
      const kernels::BatchNormFinishArgs args{channels_,
                                              at.At<kernels::Moments>(moments),
                                              momentum_,
                                              at.At(mean),
                                              at.At(variance),
                                              at.At(moving_mean),
                                              at.At(moving_variance),
                                              at.At<double>(count)};
      return BoundCall{1, [args](kernels::UnitRange) { kernels::BatchNormFinish(args); }};
    });
    call.saved = {mean, variance, count};
    RecordApply(builder, call, mean, variance);
  }

  void Backward(StepBuilder& builder, LayerCall& call, Slice d_output,
                absl::Span<GradientSink* const> d_inputs) const override {
    if (!UsesBatch(call)) {
      RecordFrozenBackward(builder, call, d_output, *d_inputs[0]);
      return;
    }
    const Slice sums = RecordSums(builder, call, d_output);
    const Slice mean = call.saved[0];
    const Slice variance = call.saved[1];
    const Slice count = call.saved[2];
    call.saved.push_back(sums);
    if (!d_inputs[0]->wanted()) return;
    const GradientSink::Target target = d_inputs[0]->Write(builder);
    builder.Call(Info(builder, call, "/backward", target.slice, 16.0),
                 [=, this, &builder, x = call.inputs[0], gamma = Gamma(call),
                  beta = Beta(call)](const Binder& at) {
                   const kernels::BatchNormBackwardArgs args{.blocks = builder.geometry().blocks,
                                                             .positions = positions_,
                                                             .channels = channels_,
                                                             .x = at.At(x),
                                                             .d_y = at.At(d_output),
                                                             .mean = at.At(mean),
                                                             .variance = at.At(variance),
                                                             .gamma = at.At(gamma),
                                                             .sums = at.At(sums),
                                                             .count = at.At<double>(count),
                                                             .epsilon = epsilon_,
                                                             .d_x = at.At(target.slice),
                                                             .accumulate = target.accumulate,
                                                             .relu = relu_,
                                                             .beta = at.At(beta)};
                   return BindKernel(&kernels::BatchNormBackward, args,
                                     kernels::BatchNormBackwardUnits(args));
                 });
  }

  // The sums are global already: they stand in the subtree of shard 0, the others hold +0. The +0
  // added there too makes -0 the same for every split.
  void BackwardVariables(StepBuilder& builder, absl::Span<LayerCall* const> calls,
                         const VariableGradients& gradients) const override {
    std::vector<Slice> sums;
    for (const LayerCall* call : calls) sums.push_back(call->saved[3]);
    for (size_t t = 0; t < gradients.buffers.size(); ++t) {
      const bool first = t == 0 && builder.geometry().first_shard == 0;
      const Slice d_gamma = scale_ ? gradients.At(t, 0) : Slice{};
      const Slice d_beta = center_ ? gradients.At(t, Gammas() - 1) : Slice{};
      builder.Call({.label = calls[0]->label + "/gradients"}, [=, this](const Binder& at) {
        std::vector<const float*> sources;
        for (const Slice& sum : sums) sources.push_back(at.At(sum));
        float* const gamma_out = at.At(d_gamma);
        float* const beta_out = at.At(d_beta);
        return BoundCall{1, [=, this](kernels::UnitRange) {
                           Place(sources, first, 0, beta_out);
                           Place(sources, first, channels_, gamma_out);
                         }};
      });
    }
  }

 private:
  static bool UsesBatch(const LayerCall& call) { return call.training && call.trainable; }
  size_t Gammas() const { return size_t{scale_} + size_t{center_}; }
  Slice Gamma(const LayerCall& call) const { return scale_ ? call.variables[0] : Slice{}; }
  Slice Beta(const LayerCall& call) const {
    return center_ ? call.variables[Gammas() - 1] : Slice{};
  }
  CallInfo Info(const StepBuilder& builder, const LayerCall& call, absl::string_view what,
                Slice checked, double bytes_per_value) const {
    return {.label = absl::StrCat(call.label, what),
            .flops = flops_ * SlotCount(builder),
            .bytes = bytes_per_value * SlotCount(builder) *
                     static_cast<double>(output_shape_.elements()),
            .checked = checked,
            .features = checked.valid() ? output_shape_.elements() : 0};
  }

  void Place(const std::vector<const float*>& sums, bool first, int64_t offset, float* out) const {
    if (out == nullptr) return;
    for (int64_t c = 0; c < channels_; ++c) {
      float total = sums[0][offset + c];
      for (size_t call = 1; call < sums.size(); ++call) total += sums[call][offset + c];
      out[c] = first ? total + 0.0f : 0.0f;
    }
  }

  Slice RecordMoments(StepBuilder& builder, const LayerCall& call) const {
    const int64_t bytes = channels_ * int64_t{sizeof(kernels::Moments)};
    const auto subtrees = static_cast<int64_t>(builder.geometry().subtrees.size());
    const Slice partials = builder.Allocate(std::max<int64_t>(subtrees, 1) * bytes);
    for (int64_t t = 0; t < subtrees; ++t) {
      const Slice partial{partials.buffer, t * bytes};
      builder.Call(Info(builder, call, "/moments", {}, 8.0),
                   [=, this, &builder, x = call.inputs[0]](const Binder& at) {
                     const kernels::BatchNormMomentsArgs args{
                         positions_,        channels_,
                         builder.Slots(at), builder.geometry().subtrees[static_cast<size_t>(t)],
                         at.At(x),          at.At<kernels::Moments>(partial)};
                     return BindKernel(&kernels::BatchNormMoments, args,
                                       kernels::BatchNormMomentsUnits(args));
                   });
    }
    const Slice result = builder.Allocate(bytes);
    builder.Collective({call.label + "/merge_moments", CollectiveKind::kMergeMoments, channels_,
                        partials, result});
    return result;
  }

  Slice RecordSums(StepBuilder& builder, const LayerCall& call, Slice d_output) const {
    const int64_t bytes = 2 * channels_ * kFloatBytes;
    const auto subtrees = static_cast<int64_t>(builder.geometry().subtrees.size());
    const Slice partials = builder.Allocate(std::max<int64_t>(subtrees, 1) * bytes);
    for (int64_t t = 0; t < subtrees; ++t) {
      const Slice partial{partials.buffer, t * bytes};
      builder.Call(
          Info(builder, call, "/sums", {}, 8.0),
          [=, this, &builder, x = call.inputs[0], mean = call.saved[0], variance = call.saved[1],
           gamma = Gamma(call), beta = Beta(call)](const Binder& at) {
            const kernels::BatchNormSumsArgs args{
                positions_,
                channels_,
                builder.Slots(at),
                builder.geometry().subtrees[static_cast<size_t>(t)],
                at.At(x),
                at.At(d_output),
                at.At(mean),
                at.At(variance),
                epsilon_,
                at.At(partial),
                relu_,
                at.At(gamma),
                at.At(beta)};
            return BindKernel(&kernels::BatchNormSums, args, kernels::BatchNormSumsUnits(args));
          });
    }
    const Slice result = builder.Allocate(bytes);
    builder.Collective({call.label + "/sum_gradients", CollectiveKind::kSumFloats, 2 * channels_,
                        partials, result});
    return result;
  }

  void RecordApply(StepBuilder& builder, const LayerCall& call, Slice mean, Slice variance) const {
    builder.Call(Info(builder, call, "/forward", call.output, 8.0),
                 [=, this, &builder, x = call.inputs[0], y = call.output, gamma = Gamma(call),
                  beta = Beta(call)](const Binder& at) {
                   const kernels::BatchNormApplyArgs args{builder.geometry().blocks,
                                                          positions_,
                                                          channels_,
                                                          at.At(x),
                                                          at.At(mean),
                                                          at.At(variance),
                                                          at.At(gamma),
                                                          at.At(beta),
                                                          epsilon_,
                                                          at.At(y),
                                                          relu_};
                   return BindKernel(&kernels::BatchNormApply, args,
                                     kernels::BatchNormApplyUnits(args));
                 });
  }

  // With frozen statistics y is linear in x: the backward pass is the apply of d_y with mean 0 and
  // no beta.
  void RecordFrozenBackward(StepBuilder& builder, const LayerCall& call, Slice d_output,
                            GradientSink& d_input) const {
    if (!d_input.wanted()) return;
    const ActivationUse use{.label = call.label + "/activation",
                            .kind = relu_ ? ActivationKind::kRelu : ActivationKind::kLinear,
                            .positions = positions_,
                            .features = channels_};
    const Slice d_y = GradientBeforeActivation(builder, use, call.output, d_output);
    const Slice zero = builder.Allocate(channels_ * kFloatBytes);
    builder.Call({.label = call.label + "/zero_mean"}, [=, this](const Binder& at) {
      float* const mean = at.At(zero);
      return BoundCall{1,
                       [=, this](kernels::UnitRange) { std::fill(mean, mean + channels_, 0.0f); }};
    });
    const Slice d_x = builder.AllocateActivation(output_shape_.elements());
    builder.Call(Info(builder, call, "/backward", d_x, 8.0),
                 [=, this, &builder, variance = call.variables[Gammas() + 1],
                  gamma = Gamma(call)](const Binder& at) {
                   const kernels::BatchNormApplyArgs args{
                       builder.geometry().blocks, positions_,   channels_, at.At(d_y), at.At(zero),
                       at.At(variance),           at.At(gamma), nullptr,   epsilon_,   at.At(d_x)};
                   return BindKernel(&kernels::BatchNormApply, args,
                                     kernels::BatchNormApplyUnits(args));
                 });
    d_input.Pass(builder, d_x);
  }

  int64_t channels_;
  int64_t positions_;
  bool scale_;
  bool center_;
  float momentum_;
  float epsilon_;
  bool relu_ = false;  // behind it
};

absl::StatusOr<std::unique_ptr<Layer>> Make(const Options& options,
                                            absl::Span<const Shape> inputs) {
  LOCKSTEP_RETURN_IF_ERROR(CheckInputCount(inputs.size(), 1));
  return std::make_unique<BatchNormalization>(options, inputs[0]);
}

constexpr LayerExample kExamples[] = {
    {.options = "{}", .inputs = {{3, 4, 5}}},
    {.options = "{scale: false, momentum: 0.5}", .inputs = {{7}}},
    {.options = "{center: false, epsilon: 0.1}", .inputs = {{2, 2, 1}}},
};

}  // namespace

extern const LayerDef kDef;
constinit const LayerDef kDef = {"batch_normalization",
                                 "normalizes each channel over the global batch", kOptions, &Make,
                                 kExamples};

}  // namespace lockstep::layers::batch_normalization
