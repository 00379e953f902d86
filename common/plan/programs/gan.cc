// A generative adversarial network (Goodfellow et al. 2014): a generator makes samples of noise, a
// discriminator tells them from the data's, both learn in turn. Two phases a step. First the
// discriminator: the mean of its losses on real and on made samples. Then the generator: the
// non-saturating loss of what the updated discriminator says of the same made samples, which are
// kept from the first phase since the generator has not moved. docs/NUMERICS.md#9-gan.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

#include "common/base/status_macros.h"
#include "common/nn/loss_registry.h"
#include "common/plan/program.h"

namespace lockstep::programs::gan {
namespace {

constexpr OptionDoc kOptions[] = {
    {.name = "generator",
     .type = OptionType::kString,
     .fallback = "generator",
     .help = "the model that makes samples; its inputs are noise"},
    {.name = "discriminator",
     .type = OptionType::kString,
     .fallback = "discriminator",
     .help = "the model that tells them from the data's"},
    {.name = "noise",
     .type = OptionType::kString,
     .fallback = "normal",
     .choices = "normal uniform",
     .help = "of mean 0 and deviation 1, or even in [-1, 1)"},
    {.name = "from_logits",
     .type = OptionType::kBool,
     .fallback = "false",
     .help = "the discriminator gives logits; else it ends in a sigmoid"},
    {.name = "samples",
     .type = OptionType::kInts,
     .fallback = "[8, 8]",
     .min = 1,
     .max = 32,
     .length = 2,
     .help = "rows and columns of the picture of samples that each epoch leaves"},
};

// Outputs of the graph.
constexpr size_t kDiscriminatorLoss = 0;
constexpr size_t kGeneratorLoss = 1;

constexpr float kReal = 1.0f;
constexpr float kMade = 0.0f;

size_t ModelIndex(const JobGraph& graph, const std::string& name) {
  const auto found =
      std::find_if(graph.models.begin(), graph.models.end(),
                   [&](const JobModel& candidate) { return candidate.model->name() == name; });
  return static_cast<size_t>(found - graph.models.begin());
}
size_t GeneratorOf(const JobGraph& graph) {
  return ModelIndex(graph, graph.program.GetString("generator"));
}
size_t DiscriminatorOf(const JobGraph& graph) {
  return ModelIndex(graph, graph.program.GetString("discriminator"));
}

// --- the graph ---

absl::Status CheckModels(const JobSpec& spec, const JobGraph& graph) {
  if (graph.models.size() != 2) {
    return spec.program().Error(absl::StrCat("takes a generator and a discriminator under 'models'",
                                             ", not ", graph.models.size(), " models"));
  }
  std::vector<absl::string_view> names;
  for (const JobModel& job_model : graph.models) names.push_back(job_model.model->name());
  for (const absl::string_view role : {"generator", "discriminator"}) {
    const std::string& name = graph.program.GetString(role);
    if (ModelIndex(graph, name) < graph.models.size()) continue;
    return graph.program.Error(
        role, absl::StrCat("no model is called ", Quote(name), NearestNamesHint(name, names)));
  }
  if (GeneratorOf(graph) != DiscriminatorOf(graph)) return absl::OkStatus();
  return graph.program.Error("discriminator", "is the generator too; name the other model");
}

absl::StatusOr<JobOutput> MakeOutput(const JobGraph& graph, const std::string& key) {
  const Node node{.type = "binary_crossentropy", .where = "program"};
  LOCKSTEP_ASSIGN_OR_RETURN(const LossDef* const def, FindLoss(node));
  Value given = Value::MakeMap();
  given.Set("from_logits", Value::Bool(graph.program.GetBool("from_logits")));
  LOCKSTEP_ASSIGN_OR_RETURN(const Options options, CheckOptions(def->options, given, node.where));
  JobOutput output{.model = DiscriminatorOf(graph), .output = 0, .key = key, .has_target = false};
  LOCKSTEP_ASSIGN_OR_RETURN(output.loss, def->make(options));
  output.logits =
      output.loss->TakesLogitsOf(graph.models[output.model].model->LogitsActivation(output.output));
  return output;
}

absl::Status Complete(const JobSpec& spec, JobGraph& graph) {
  LOCKSTEP_RETURN_IF_ERROR(CheckModels(spec, graph));
  if (!spec.losses().empty()) {
    return spec.losses()[0].loss.Error("program gan has its own losses; remove 'loss'");
  }
  if (!spec.metrics().empty()) {
    return spec.metrics()[0].Error("program gan shows its losses alone; remove 'metrics'");
  }
  graph.models[GeneratorOf(graph)].from_data = false;
  for (const char* const key : {"d", "g"}) {  // d_loss and g_loss, as Keras' examples call them
    LOCKSTEP_ASSIGN_OR_RETURN(JobOutput output, MakeOutput(graph, key));
    output.first_sum = graph.sum_count++;
    graph.outputs.push_back(std::move(output));
  }
  return absl::OkStatus();
}

absl::Status Check(const JobGraph& graph) {
  const Model& generator = *graph.models[GeneratorOf(graph)].model;
  const Model& discriminator = *graph.models[DiscriminatorOf(graph)].model;
  const auto refuse = [](auto... words) {
    return absl::InvalidArgumentError(absl::StrCat("program gan: ", words...));
  };
  if (generator.outputs().size() != discriminator.input_count()) {
    return refuse("the generator has ", generator.outputs().size(), " outputs, the discriminator ",
                  discriminator.input_count(), " inputs; they have to be as many");
  }
  for (size_t i = 0; i < discriminator.input_count(); ++i) {
    const Shape& made = generator.tensors()[generator.outputs()[i]].shape;
    const Shape& judged = discriminator.tensors()[i].shape;
    if (made == judged) continue;
    return refuse("the generator makes ", made.ToString(), " but input '",
                  discriminator.tensors()[i].name, "' of the discriminator takes ",
                  judged.ToString(),
                  "; end the generator in {reshape: {target_shape: ", judged.ToJson(),
                  "}} or change its last layer");
  }
  if (discriminator.outputs().size() != 1) {
    return refuse("the discriminator has ", discriminator.outputs().size(),
                  " outputs; give it one, its judgement");
  }
  const bool sigmoid = discriminator.LogitsActivation(0) == "sigmoid";
  if (sigmoid != graph.program.GetBool("from_logits")) return absl::OkStatus();
  return sigmoid ? refuse("the discriminator ends in a sigmoid; remove from_logits: true")
                 : refuse(
                       "the discriminator's last layer has no sigmoid; give it activation: "
                       "sigmoid, or the program {gan: {from_logits: true}}");
}

// --- the lists ---

int64_t SlotsOf(const StepBuilder& builder) {
  return int64_t{kernels::kBlockLanes} * builder.geometry().blocks;
}

// `value` in every slot of [blocks][elements][16].
Slice RecordConstant(StepBuilder& builder, float value, int64_t elements) {
  const Slice out = builder.AllocateActivation(elements);
  const int64_t count = SlotsOf(builder) * elements;
  builder.Call({.label = "gan/target"}, [=](const Binder& at) {
    float* const first = at.At(out);
    return BoundCall{1, [=](kernels::UnitRange) { std::fill_n(first, count, value); }};
  });
  return out;
}

// out[slot] = (a[slot] + b[slot]) / 2, without b: a[slot] / 2.
Slice RecordHalf(StepBuilder& builder, Slice a, Slice b) {
  const int64_t slots = SlotsOf(builder);
  const Slice out = builder.Allocate(slots * 4);
  builder.Call({.label = "gan/half"}, [=](const Binder& at) {
    const float* const x = at.At(a);
    const float* const y = at.At(b);
    float* const half = at.At(out);
    return BoundCall{1, [=](kernels::UnitRange) {
                       for (int64_t slot = 0; slot < slots; ++slot) {
                         half[slot] = 0.5f * (y == nullptr ? x[slot] : x[slot] + y[slot]);
                       }
                     }};
  });
  return out;
}

// What samples should be taken for, and the seeds of their losses.
struct Verdict {
  float target;
  Slice seed;
};

// What the discriminator says of them.
struct Judgement {
  Slice loss;      // per slot
  Slice d_output;  // invalid without gradients
};

Judgement RecordJudgement(const ProgramContext& context, StepBuilder& builder,
                          const Model::Pass& pass, const Verdict& right, bool with_gradients) {
  const JobOutput& output = context.graph().outputs[kDiscriminatorLoss];
  const Model& model = *context.graph().models[output.model].model;
  const Model::Tensor& tensor = model.tensors()[model.outputs()[output.output]];
  LossCall call{.label = absl::StrCat(model.name(), "/", tensor.name),
                .output = pass.output(model, output.output),
                .logits = output.logits,
                .shape = tensor.shape,
                .target = RecordConstant(builder, right.target, tensor.shape.elements()),
                .seed = right.seed,
                .loss = builder.Allocate(SlotsOf(builder) * 4)};
  if (with_gradients) call.d_output = builder.AllocateActivation(tensor.shape.elements());
  output.loss->Record(builder, call);
  return {call.loss, call.d_output};
}

std::vector<Slice> OutputsOf(const Model& model, const Model::Pass& pass) {
  std::vector<Slice> outputs;
  for (size_t o = 0; o < model.outputs().size(); ++o) outputs.push_back(pass.output(model, o));
  return outputs;
}

Model::Pass RecordMade(ProgramContext& context, StepBuilder& builder, bool training, bool fixed) {
  const size_t generator = GeneratorOf(context.graph());
  const NoiseKind kind = context.graph().program.GetString("noise") == "normal"
                             ? NoiseKind::kNormal
                             : NoiseKind::kUniform;
  return context.RecordForward(builder, generator,
                               context.RecordNoise(builder, generator, kind, fixed), training);
}

void RecordSumOf(const ProgramContext& context, StepBuilder& builder, size_t output, Slice loss) {
  context.RecordSum(builder, loss, context.feed.weights[output],
                    context.graph().outputs[output].first_sum);
}

ProgramPhase RecordDiscriminator(ProgramContext& context, Model::Pass& made) {
  const JobGraph& graph = context.graph();
  const size_t discriminator = DiscriminatorOf(graph);
  ProgramPhase phase{
      .name = "discriminator", .updates = {discriminator}, .builder = context.NewBuilder()};
  StepBuilder& builder = *phase.builder;
  made = RecordMade(context, builder, /*training=*/true, /*fixed=*/false);
  Model::Pass of_real = context.RecordForward(
      builder, discriminator, context.RecordInputsOf(builder, discriminator), /*training=*/true);
  Model::Pass of_made = context.RecordForward(
      builder, discriminator, OutputsOf(*graph.models[GeneratorOf(graph)].model, made),
      /*training=*/true);
  const Slice seed = RecordHalf(builder, context.feed.seeds[kDiscriminatorLoss], {});
  const Judgement real = RecordJudgement(context, builder, of_real, {kReal, seed}, true);
  const Judgement fake = RecordJudgement(context, builder, of_made, {kMade, seed}, true);
  RecordSumOf(context, builder, kDiscriminatorLoss, RecordHalf(builder, real.loss, fake.loss));
  context.RecordBackward(builder, discriminator,
                         {{&of_real, {real.d_output}}, {&of_made, {fake.d_output}}});
  return phase;
}

ProgramPhase RecordGenerator(ProgramContext& context, Model::Pass& made) {
  const JobGraph& graph = context.graph();
  const size_t generator = GeneratorOf(graph), discriminator = DiscriminatorOf(graph);
  ProgramPhase phase{.name = "generator", .updates = {generator}, .builder = context.NewBuilder()};
  StepBuilder& builder = *phase.builder;
  Model::Pass of_made = context.RecordForward(
      builder, discriminator, OutputsOf(*graph.models[generator].model, made), /*training=*/true);
  const Judgement fooled =
      RecordJudgement(context, builder, of_made, {kReal, context.feed.seeds[kGeneratorLoss]}, true);
  RecordSumOf(context, builder, kGeneratorLoss, fooled.loss);
  // Through the discriminator, whose own gradients nobody needs.
  std::vector<Slice> d_made = graph.models[discriminator].model->Backward(
      builder, of_made, {fooled.d_output}, {.want_inputs = true});
  context.RecordBackward(builder, generator, made, std::move(d_made));
  return phase;
}

std::vector<ProgramPhase> RecordTrain(ProgramContext& context) {
  Model::Pass made;
  std::vector<ProgramPhase> phases;
  phases.push_back(RecordDiscriminator(context, made));
  phases.push_back(RecordGenerator(context, made));
  return phases;
}

// The same losses with the models as they are, on noise that does not change.
ProgramPhase RecordEvaluate(ProgramContext& context) {
  const JobGraph& graph = context.graph();
  const size_t generator = GeneratorOf(graph), discriminator = DiscriminatorOf(graph);
  ProgramPhase phase{.name = "evaluate", .updates = {}, .builder = context.NewBuilder()};
  StepBuilder& builder = *phase.builder;
  const Model::Pass made = RecordMade(context, builder, /*training=*/false, /*fixed=*/true);
  const Model::Pass of_real = context.RecordForward(
      builder, discriminator, context.RecordInputsOf(builder, discriminator), /*training=*/false);
  const Model::Pass of_made = context.RecordForward(
      builder, discriminator, OutputsOf(*graph.models[generator].model, made), /*training=*/false);
  const auto loss = [&](const Model::Pass& pass, float target, size_t output) {
    return RecordJudgement(context, builder, pass, {target, context.feed.seeds[output]}, false)
        .loss;
  };
  RecordSumOf(context, builder, kDiscriminatorLoss,
              RecordHalf(builder, loss(of_real, kReal, kDiscriminatorLoss),
                         loss(of_made, kMade, kDiscriminatorLoss)));
  RecordSumOf(context, builder, kGeneratorLoss, loss(of_made, kReal, kGeneratorLoss));
  return phase;
}

// --- pictures ---

// Of the generator's first output, where that is an image. Bytes are shown as the data would hold
// them; other data is taken to lie in [-1, 1].
std::optional<PictureSheet> SheetOf(const JobGraph& graph, const DataSignature& data,
                                    const DataSpec& preprocess) {
  const Model& generator = *graph.models[GeneratorOf(graph)].model;
  const Shape& made = generator.tensors()[generator.outputs()[0]].shape;
  const bool grey = made.ndim() == 2 || (made.ndim() == 3 && made.back() == 1);
  if (!grey && !(made.ndim() == 3 && made.back() == 3)) return std::nullopt;
  const std::vector<int64_t> grid = graph.program.GetInts("samples");
  PictureSheet sheet{
      .picture = made, .rows = grid[0], .columns = grid[1], .black = -1.0f, .white = 1.0f};
  const std::string& input = graph.models[DiscriminatorOf(graph)].model->tensors()[0].name;
  for (const DataField& field : data.inputs) {
    if (field.name != input || field.type != kernels::SampleType::kU8) continue;
    if (preprocess.scale == 0) continue;
    sheet.black = static_cast<float>(preprocess.offset);
    sheet.white = static_cast<float>(255 * preprocess.scale + preprocess.offset);
  }
  return sheet;
}

uint8_t ByteOf(float value, double black, double white) {
  const double byte = (static_cast<double>(value) - black) * (255.0 / (white - black)) + 0.5;
  if (!(byte >= 0)) return 0;  // NaN is black
  return byte >= 255.0 ? uint8_t{255} : static_cast<uint8_t>(byte);
}

ProgramPhase RecordPictures(ProgramContext& context, const PictureSheet& sheet, Slice bytes) {
  ProgramPhase phase{.name = "pictures", .updates = {}, .builder = context.NewBuilder()};
  StepBuilder& builder = *phase.builder;
  const Model::Pass made = RecordMade(context, builder, /*training=*/false, /*fixed=*/true);
  const Slice values = made.output(*context.graph().models[GeneratorOf(context.graph())].model, 0);
  const int64_t elements = sheet.picture.elements();
  builder.Call({.label = "gan/pictures"}, [=,
                                           blocks = builder.geometry().blocks](const Binder& at) {
    const float* const from = at.At(values);
    uint8_t* const to = at.At<uint8_t>(bytes);
    return BoundCall{
        blocks, [=](kernels::UnitRange range) {
          constexpr int64_t kLanes = kernels::kBlockLanes;
          for (int64_t slot = range.begin * kLanes; slot < range.end * kLanes; ++slot) {
            const float* const first = from + slot / kLanes * elements * kLanes + slot % kLanes;
            for (int64_t e = 0; e < elements; ++e) {
              to[slot * elements + e] = ByteOf(first[e * kLanes], static_cast<double>(sheet.black),
                                               static_cast<double>(sheet.white));
            }
          }
        }};
  });
  return phase;
}

}  // namespace

extern const ProgramDef kDef;
constinit const ProgramDef kDef = {.name = "gan",
                                   .summary = "a generator and a discriminator learn in turn",
                                   .check = &Check,
                                   .record_train = &RecordTrain,
                                   .record_evaluate = &RecordEvaluate,
                                   .options = kOptions,
                                   .complete = &Complete,
                                   .picture_sheet = &SheetOf,
                                   .record_pictures = &RecordPictures};

}  // namespace lockstep::programs::gan
