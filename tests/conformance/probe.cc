#include "tests/conformance/probe.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"

#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "common/kernels/simd_target.h"
#include "common/plan/job_graph.h"
#include "common/plan/shard_plan.h"
#include "worker/comm/local_group.h"
#include "worker/comm/tree_exchange.h"
#include "worker/data/batch_loader.h"
#include "worker/train/owned_parameters.h"

namespace lockstep::testing {
namespace {

// What one rank leaves.
struct RankLeft {
  std::vector<std::vector<std::pair<int64_t, std::vector<float>>>> rows;  // by field: position, row
  NamedValues variables;
  std::vector<std::pair<Range, std::vector<float>>> owned;  // parts of the flat gradient
  std::vector<double> sums;
};

std::vector<float> CopyOf(const float* first, int64_t count) { return {first, first + count}; }

// A rank of the group: its own graph, plan and memory, as a process has them.
class ProbeRank {
 public:
  ProbeRank(const ProbeRequest& request, const JobSpec& spec, Communicator& communicator,
            int threads)
      : request_(request),
        spec_(spec),
        communicator_(communicator),
        pool_(threads, Spin::kNone),
        signature_(request.data->signature()) {}

  absl::Status Run(RankLeft& left) {
    LOCKSTEP_RETURN_IF_ERROR(Prepare());
    LOCKSTEP_RETURN_IF_ERROR(FillVariables());
    LOCKSTEP_RETURN_IF_ERROR(LoadBatch());
    if (request_.pass == Pass::kEvaluate) {
      LOCKSTEP_RETURN_IF_ERROR(executor_->RunEvaluate(0));
    } else {
      LOCKSTEP_RETURN_IF_ERROR(RunTrain(left));
    }
    TakeRows(left);
    LOCKSTEP_RETURN_IF_ERROR(TakeSums(left));
    for (const TensorView& view : parameters_->Variables()) {
      left.variables.emplace_back(view.name, CopyOf(view.values.data(), std::ssize(view.values)));
    }
    return absl::OkStatus();
  }

 private:
  const ProgramContext& slices() const { return plan_->slices(); }

  absl::Status Prepare() {
    LOCKSTEP_ASSIGN_OR_RETURN(graph_, BuildJobGraph(spec_));
    LOCKSTEP_RETURN_IF_ERROR(MatchData(graph_, signature_, "data.train"));
    plan_ = StaticPlan::Create(
        {.spec = &spec_,
         .graph = &graph_,
         .program = request_.program,
         .train = &signature_,
         .evaluations = {&signature_},
         .geometry = GeometryOf(spec_.train().batch_size, static_cast<int32_t>(spec_.shards()),
                                communicator_.size(), communicator_.rank()),
         .workers = communicator_.size(),
         .rank = communicator_.rank()});
    LOCKSTEP_ASSIGN_OR_RETURN(executor_, StepExecutor::Create(*plan_, communicator_, pool_));
    parameters_ = std::make_unique<OwnedParameters>(
        OwnedParameters::Parts{&graph_, plan_.get(), executor_.get(), &communicator_, &pool_});
    return absl::OkStatus();
  }

  // As from a checkpoint, whose values are found by name. Optimizers have their zero state.
  absl::Status FillVariables() {
    parameters_->Initialize(spec_.train().seed);
    if (request_.variables.empty()) return absl::OkStatus();
    Checkpoint checkpoint;
    const std::vector<float> zeros(static_cast<size_t>(graph_.parameters->elements()), 0.0f);
    for (const ParameterSet::Variable& variable : graph_.parameters->variables()) {
      for (const auto& [path, values] : request_.variables) {
        if (path == variable.path) {
          checkpoint.values.tensors.push_back({path, variable.shape, values});
        }
      }
      for (const auto& slot : graph_.models[variable.model].optimizer->state_slots()) {
        checkpoint.optimizer.tensors.push_back(
            {absl::StrCat(slot, "/", variable.path), variable.shape,
             absl::MakeConstSpan(zeros).first(static_cast<size_t>(variable.shape.elements()))});
      }
    }
    return parameters_->Restore(checkpoint);
  }

  absl::Status LoadBatch() {
    Feed feed;
    for (const Slice rows : slices().feed.input_rows) {
      feed.input_rows.push_back(executor_->At<std::byte>(rows));
    }
    for (const Slice rows : slices().feed.target_rows) {
      feed.target_rows.push_back(executor_->At<std::byte>(rows));
    }
    for (const Slice labels : slices().feed.labels) {
      feed.labels.push_back(executor_->At<int32_t>(labels));
    }
    for (const Slice seeds : slices().feed.seeds) feed.seeds.push_back(executor_->At(seeds));
    for (const Slice weights : slices().feed.weights) {
      feed.weights.push_back(executor_->At(weights));
    }
    feed.shard_count = executor_->At<int32_t>(slices().run_inputs.shard_count);
    feed.batch_position = executor_->At<int32_t>(slices().run_inputs.batch_position);
    loader_.emplace(*request_.data, graph_, spec_.train().class_weight, slices().geometry,
                    std::move(feed));
    *executor_->At<int64_t>(slices().run_inputs.step) = request_.step;
    const ShardPlan in_order({0, request_.data->count}, spec_.train().batch_size,
                             /*shuffle=*/false, /*seed=*/0);
    return loader_->Load(in_order, {.epoch = 0, .first = 0, .count = request_.samples});
  }

  absl::Status RunTrain(RankLeft& left) {
    for (size_t phase = 0; phase < plan_->train().size(); ++phase) {
      LOCKSTEP_RETURN_IF_ERROR(executor_->RunTrain(phase));
      const std::vector<size_t>& models = plan_->train()[phase].phase.updates;
      LOCKSTEP_RETURN_IF_ERROR(parameters_->ReduceGradients(models));
      for (const size_t model : models) {
        const Range own = plan_->owned()[model].own;
        const float* const gradient = executor_->At(slices().gradients[0]);
        left.owned.emplace_back(own, CopyOf(gradient + own.begin, own.size()));
      }
      // The next phase writes what another rank may still be reading.
      const bool last = phase + 1 == plan_->train().size();
      if (!last) LOCKSTEP_RETURN_IF_ERROR(communicator_.Barrier());
    }
    return absl::OkStatus();
  }

  void TakeRows(RankLeft& left) const {
    const int32_t* const position = executor_->At<int32_t>(slices().run_inputs.batch_position);
    const int64_t slots = int64_t{kernels::kBlockLanes} * slices().geometry.blocks;
    left.rows.resize(signature_.inputs.size());
    for (size_t f = 0; f < signature_.inputs.size(); ++f) {
      if (signature_.inputs[f].type != kernels::SampleType::kF32) continue;  // no pass writes it
      const int64_t elements = signature_.inputs[f].shape.elements();
      const float* const rows = executor_->At(slices().feed.input_rows[f]);
      for (int64_t slot = 0; slot < slots; ++slot) {
        if (loader_->SampleInSlot(slot) < 0) continue;
        left.rows[f].emplace_back(position[slot], CopyOf(rows + slot * elements, elements));
      }
    }
  }

  absl::Status TakeSums(RankLeft& left) {
    left.sums.resize(graph_.sum_count);
    if (left.sums.empty()) return absl::OkStatus();
    return TreeExchange<double>(
        communicator_, executor_->At<double>(slices().sums), std::ssize(left.sums),
        [](double a, double b) { return a + b; }, left.sums.data());
  }

  const ProbeRequest& request_;
  const JobSpec& spec_;
  Communicator& communicator_;
  ComputePool pool_;
  const DataSignature signature_;
  JobGraph graph_;
  std::unique_ptr<StaticPlan> plan_;
  std::unique_ptr<StepExecutor> executor_;
  std::unique_ptr<OwnedParameters> parameters_;
  std::optional<BatchLoader> loader_;
};

std::vector<float> JoinRows(const std::vector<RankLeft>& ranks, size_t field, int64_t samples) {
  std::vector<std::vector<float>> by_position(static_cast<size_t>(samples));
  for (const RankLeft& rank : ranks) {
    for (const auto& [position, row] : rank.rows[field]) {
      by_position[static_cast<size_t>(position)] = row;
    }
  }
  std::vector<float> rows;
  for (const std::vector<float>& row : by_position) rows.insert(rows.end(), row.begin(), row.end());
  return rows;
}

NamedValues JoinGradients(const std::vector<RankLeft>& ranks, const ParameterSet& parameters) {
  // NaN: a range that no rank owns would show.
  std::vector<float> flat(static_cast<size_t>(parameters.trainable_elements()),
                          std::numeric_limits<float>::quiet_NaN());
  for (const RankLeft& rank : ranks) {
    for (const auto& [range, values] : rank.owned) {
      std::copy(values.begin(), values.end(), flat.begin() + range.begin);
    }
  }
  NamedValues gradients;
  for (const ParameterSet::Variable& variable : parameters.variables()) {
    if (!variable.trainable) continue;
    gradients.emplace_back(variable.path,
                           CopyOf(flat.data() + variable.offset, variable.shape.elements()));
  }
  return gradients;
}

absl::StatusOr<ProbeResult> Join(const std::vector<RankLeft>& ranks, const JobSpec& spec,
                                 const ProbeRequest& request) {
  LOCKSTEP_ASSIGN_OR_RETURN(const JobGraph graph, BuildJobGraph(spec));
  ProbeResult result{.variables = ranks[0].variables, .sums = ranks[0].sums};
  for (size_t field = 0; field < request.data->inputs.size(); ++field) {
    result.fields.push_back(JoinRows(ranks, field, request.samples));
  }
  if (request.pass == Pass::kTrain) result.gradients = JoinGradients(ranks, *graph.parameters);
  for (const RankLeft& rank : ranks) {
    const ::testing::AssertionResult same = SameBits(rank.variables, result.variables);
    if (!same) return absl::InternalError(absl::StrCat("ranks disagree: ", same.message()));
    if (rank.sums != result.sums) return absl::InternalError("ranks disagree on the sums");
  }
  return result;
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const Split& split) {
  out << split.ranks << " ranks, " << split.threads << " threads";
  if (split.hosts > 1) out << ", " << split.hosts << " hosts";
  return split.simd.empty() ? out : out << ", " << split.simd;
}

std::vector<Split> AllSplits() {
  std::vector<Split> splits;
  for (const absl::string_view simd : kernels::SupportedSimd()) {
    for (const Split split :
         {Split{1, 1, 1}, {1, 3, 1}, {2, 1, 2}, {3, 2, 1}, {5, 1, 2}, {8, 1, 1}}) {
      splits.push_back(split);
      splits.back().simd = simd;
    }
  }
  return splits;
}

absl::StatusOr<ProbeResult> RunProbe(const ProbeRequest& request, const Split& split) {
  std::optional<kernels::ScopedSimdForTest> forced;
  if (!split.simd.empty()) forced.emplace(split.simd);
  LOCKSTEP_ASSIGN_OR_RETURN(const JobSpec spec, LoadJobSpec(request.job, "job.yaml", ""));
  std::vector<RankLeft> ranks(static_cast<size_t>(split.ranks));
  const LocalGroupOptions group{
      .ranks = split.ranks, .shards = static_cast<int32_t>(spec.shards()), .hosts = split.hosts};
  LOCKSTEP_RETURN_IF_ERROR(FirstFailure(RunLocalGroup(group, [&](Communicator& communicator) {
    return ProbeRank(request, spec, communicator, split.threads)
        .Run(ranks[static_cast<size_t>(communicator.rank())]);
  })));
  return Join(ranks, spec, request);
}

::testing::AssertionResult SameBits(const std::vector<float>& actual,
                                    const std::vector<float>& expected) {
  if (actual.size() != expected.size()) {
    return ::testing::AssertionFailure()
           << actual.size() << " values, expected " << expected.size();
  }
  for (size_t k = 0; k < actual.size(); ++k) {
    if (std::isnan(actual[k]) && std::isnan(expected[k])) continue;
    if (std::bit_cast<uint32_t>(actual[k]) == std::bit_cast<uint32_t>(expected[k])) continue;
    return ::testing::AssertionFailure() << "value " << k << " of " << actual.size() << " is "
                                         << actual[k] << ", expected " << expected[k];
  }
  return ::testing::AssertionSuccess();
}

::testing::AssertionResult SameBits(const NamedValues& actual, const NamedValues& expected) {
  if (actual.size() != expected.size()) return ::testing::AssertionFailure() << "counts differ";
  for (size_t v = 0; v < actual.size(); ++v) {
    if (actual[v].first != expected[v].first) {
      return ::testing::AssertionFailure() << actual[v].first << " for " << expected[v].first;
    }
    const ::testing::AssertionResult same = SameBits(actual[v].second, expected[v].second);
    if (!same) return ::testing::AssertionFailure() << actual[v].first << ": " << same.message();
  }
  return ::testing::AssertionSuccess();
}

::testing::AssertionResult SameBits(const ProbeResult& actual, const ProbeResult& expected) {
  for (size_t f = 0; f < expected.fields.size(); ++f) {
    const ::testing::AssertionResult same = SameBits(actual.fields[f], expected.fields[f]);
    if (!same) return ::testing::AssertionFailure() << "field " << f << ": " << same.message();
  }
  const ::testing::AssertionResult gradients = SameBits(actual.gradients, expected.gradients);
  if (!gradients) return ::testing::AssertionFailure() << "gradient of " << gradients.message();
  const ::testing::AssertionResult variables = SameBits(actual.variables, expected.variables);
  if (!variables) return ::testing::AssertionFailure() << "variable " << variables.message();
  if (actual.sums != expected.sums) return ::testing::AssertionFailure() << "sums differ";
  return ::testing::AssertionSuccess();
}

void RecordRows(StepBuilder& builder, int64_t elements, Slice values, Slice rows) {
  const int64_t slots = int64_t{kernels::kBlockLanes} * builder.geometry().blocks;
  builder.Call({.label = "probe/rows"}, [=](const Binder& at) {
    const float* const from = at.At(values);
    float* const to = at.At(rows);
    return BoundCall{1, [=](kernels::UnitRange) {
                       for (int64_t slot = 0; slot < slots; ++slot) {
                         const int64_t block = slot / kernels::kBlockLanes;
                         const int64_t lane = slot % kernels::kBlockLanes;
                         for (int64_t e = 0; e < elements; ++e) {
                           to[slot * elements + e] =
                               from[(block * elements + e) * kernels::kBlockLanes + lane];
                         }
                       }
                     }};
  });
}

void RecordGarbage(StepBuilder& builder, int64_t elements, Slice values) {
  builder.Call({.label = "probe/garbage"}, [=, &builder](const Binder& at) {
    float* const out = at.At(values);
    const kernels::SlotMap slots = builder.Slots(at);
    return BoundCall{
        1, [=](kernels::UnitRange) {
          for (int64_t slot = 0; slot < int64_t{kernels::kBlockLanes} * slots.blocks; ++slot) {
            const int64_t shard = slot / slots.shard_slots;
            const bool filled =
                shard < slots.shards && slot % slots.shard_slots < slots.shard_count[shard];
            float* const first = out +
                                 slot / kernels::kBlockLanes * elements * kernels::kBlockLanes +
                                 slot % kernels::kBlockLanes;
            for (int64_t e = 0; !filled && e < elements; ++e) {
              first[e * kernels::kBlockLanes] = std::numeric_limits<float>::quiet_NaN();
            }
          }
        }};
  });
}

void RecordUnwritten(StepBuilder& builder) {
  builder.Call({.label = "probe/unwritten"}, [&builder](const Binder& at) {
    std::vector<std::pair<float*, int64_t>> buffers;
    for (size_t b = 0; b < builder.buffer_bytes().size(); ++b) {
      const Slice slice{StepBuilder::kTemporaryBase + static_cast<int32_t>(b), 0};
      buffers.emplace_back(at.At(slice), builder.buffer_bytes()[b] / int64_t{sizeof(float)});
    }
    return BoundCall{1, [=](kernels::UnitRange) {
                       for (const auto& [first, count] : buffers) {
                         std::fill_n(first, count, std::numeric_limits<float>::quiet_NaN());
                       }
                     }};
  });
}

}  // namespace lockstep::testing
