#include "common/spec/job_spec.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <type_traits>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "common/spec/job_limits.h"
#include "common/spec/job_yaml.h"

namespace lockstep {
namespace {

absl::Status CheckOverride(absl::string_view name, const std::optional<int64_t>& value,
                           int64_t max) {
  if (!value.has_value() || (*value >= 1 && *value <= max)) return absl::OkStatus();
  return ErrorAt({}, name, absl::StrCat("is ", *value, "; use 1 to ", max));
}

template <typename Number>
absl::Status ParseNumber(absl::string_view name, const std::optional<std::string>& word,
                         std::optional<Number>& number) {
  if (!word.has_value()) return absl::OkStatus();
  Number parsed = 0;
  if (!absl::SimpleAtoi(*word, &parsed)) {
    return ErrorAt({}, name,
                   absl::StrCat("is ", Quote(*word), "; use a whole number from ",
                                std::is_signed_v<Number> ? 1 : 0));
  }
  number = parsed;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Overrides> ParseOverrides(const OverrideWords& words) {
  Overrides overrides{.out = words.out};
  LOCKSTEP_RETURN_IF_ERROR(ParseNumber("--workers", words.workers, overrides.workers));
  LOCKSTEP_RETURN_IF_ERROR(ParseNumber("--threads", words.threads, overrides.threads));
  LOCKSTEP_RETURN_IF_ERROR(ParseNumber("--steps", words.steps, overrides.steps));
  LOCKSTEP_RETURN_IF_ERROR(ParseNumber("--epochs", words.epochs, overrides.epochs));
  LOCKSTEP_RETURN_IF_ERROR(ParseNumber("--seed", words.seed, overrides.seed));
  return overrides;
}

const LayerSpec* ModelSpec::FindLayer(absl::string_view layer) const {
  const auto found = std::find_if(layers.begin(), layers.end(),
                                  [layer](const LayerSpec& spec) { return spec.name == layer; });
  return found == layers.end() ? nullptr : &*found;
}

int64_t TrainSpec::epochs_max() const {
  if (epochs.has_value()) return *epochs;
  return steps.has_value() ? kEpochsMax : 1;
}

int64_t TrainSpec::total_steps(int64_t steps_per_epoch) const {
  int64_t total = 0;
  if (__builtin_mul_overflow(epochs_max(), steps_per_epoch, &total)) total = kStepsMax;
  return std::min(total, steps.value_or(total));
}

const ModelSpec* JobSpec::FindModel(absl::string_view model) const {
  const auto found = std::find_if(models_.begin(), models_.end(),
                                  [model](const ModelSpec& spec) { return spec.name == model; });
  return found == models_.end() ? nullptr : &*found;
}

int64_t JobSpec::shards() const { return train_.shards.value_or(ShardsFor(train_.batch_size)); }

int64_t ShardsFor(int64_t batch_size) {
  LOCKSTEP_CHECK(batch_size >= 1);
  const auto floor = [](int64_t count) {
    return static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(count)));
  };
  return batch_size < 32 ? std::max<int64_t>(1, floor(batch_size / 4))
                         : std::max<int64_t>(8, floor(batch_size / 32));
}

std::string OutputKey(const JobSpec& spec, absl::string_view model, absl::string_view output) {
  return spec.models().size() == 1 ? std::string(output) : absl::StrCat(model, "/", output);
}

absl::StatusOr<JobSpec> LoadJobSpec(absl::string_view text, absl::string_view file_name,
                                    absl::string_view directory) {
  LOCKSTEP_ASSIGN_OR_RETURN(const Value value, ParseYaml(text, file_name));
  return ParseJobSpec(value, directory);
}

absl::StatusOr<JobSpec> ApplyOverrides(JobSpec spec, const Overrides& overrides) {
  LOCKSTEP_RETURN_IF_ERROR(CheckOverride("--workers", overrides.workers, kWorkersMax));
  LOCKSTEP_RETURN_IF_ERROR(CheckOverride("--threads", overrides.threads, kThreadsMax));
  LOCKSTEP_RETURN_IF_ERROR(CheckOverride("--steps", overrides.steps, kStepsMax));
  LOCKSTEP_RETURN_IF_ERROR(CheckOverride("--epochs", overrides.epochs, kEpochsMax));
  if (overrides.out.has_value() && overrides.out->empty()) {
    return ErrorAt({}, "--out", "is empty; give a directory");
  }
  spec.resources_.workers = overrides.workers.value_or(spec.resources_.workers);
  spec.resources_.threads = overrides.threads.value_or(spec.resources_.threads);
  if (overrides.steps.has_value()) spec.train_.steps = overrides.steps;
  if (overrides.epochs.has_value()) spec.train_.epochs = overrides.epochs;
  spec.train_.seed = overrides.seed.value_or(spec.train_.seed);
  spec.output_.directory = overrides.out.value_or(spec.output_.directory);
  return spec;
}

}  // namespace lockstep
