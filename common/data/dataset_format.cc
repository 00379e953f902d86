#include "common/data/dataset_format.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "common/data/format_registry.h"

namespace lockstep {
namespace {

constexpr absl::string_view kInputs = "inputs";
constexpr absl::string_view kTargets = "targets";
constexpr absl::string_view kWeights = "sample_weights";

// One of the options that say where columns are, and the names that it must cover.
struct ColumnsOption {
  const DataSourceSpec& source;
  absl::string_view key;
  const Value& value;
  absl::Span<const std::string> names;

  std::string Where(absl::string_view name = "") const {
    return absl::StrCat(source.where, ".", key, name.empty() ? "" : ".", name);
  }
  absl::Status Error(absl::string_view message) const {
    return ErrorAt(value.mark(), Where(), message);
  }
  // "{a: PLACE, b: PLACE}"
  std::string Form() const {
    const auto entry = [](std::string* out, absl::string_view name) {
      absl::StrAppend(out, name, ": PLACE");
    };
    return absl::StrCat("{", absl::StrJoin(names, ", ", entry), "}");
  }
};

absl::StatusOr<std::vector<ColumnSource>> ResolveMap(const ColumnsOption& option) {
  const std::vector<absl::string_view> known(option.names.begin(), option.names.end());
  for (const Value::Entry& entry : option.value.map()) {
    if (std::find(known.begin(), known.end(), entry.key) == known.end()) {
      return ErrorAt(
          entry.mark, option.Where(),
          absl::StrCat("unknown name ", Quote(entry.key), NearestNamesHint(entry.key, known)));
    }
    if (!entry.value.is_string() || entry.value.string().empty()) {
      return ErrorAt(entry.value.mark(), option.Where(entry.key),
                     absl::StrCat("is ", entry.value.Describe(), "; it takes a string"));
    }
  }
  std::vector<ColumnSource> columns;
  std::vector<absl::string_view> missing;
  for (const absl::string_view name : known) {
    const Value* place = option.value.Find(name);
    if (place == nullptr) {
      missing.push_back(name);
    } else {
      columns.push_back({.name = std::string(name), .place = place->string()});
    }
  }
  if (missing.empty()) return columns;
  return option.Error(
      absl::StrCat("lacks ", absl::StrJoin(missing, ", "), "; give ", option.Form()));
}

// One column for each name, in their order.
absl::StatusOr<std::vector<ColumnSource>> Resolve(const ColumnsOption& option) {
  const Value& value = option.value;
  if (option.names.empty()) {
    if (value.is_null()) return std::vector<ColumnSource>();
    return option.Error("is given, but the job takes none; leave it out");
  }
  if (value.is_null()) return option.Error(absl::StrCat("is missing; give ", option.Form()));
  if (value.is_map()) return ResolveMap(option);
  if (!value.is_string() || value.string().empty()) {
    return option.Error(
        absl::StrCat("is ", value.Describe(), "; it takes a string or ", option.Form()));
  }
  if (option.names.size() == 1) {
    return std::vector<ColumnSource>{{.name = option.names[0], .place = value.string()}};
  }
  return option.Error(
      absl::StrCat("is one place for ", option.names.size(), " names; give ", option.Form()));
}

absl::StatusOr<DatasetRequest> MakeRequest(const DatasetFormatDef& format,
                                           const DataSourceSpec& source, const DataNames& names) {
  DatasetRequest request;
  LOCKSTEP_ASSIGN_OR_RETURN(request.options,
                            CheckOptions(format.options, source.options, source.where));
  const Options& options = request.options;
  LOCKSTEP_ASSIGN_OR_RETURN(request.inputs,
                            Resolve({source, kInputs, options.GetValue(kInputs), names.inputs}));
  LOCKSTEP_ASSIGN_OR_RETURN(request.targets,
                            Resolve({source, kTargets, options.GetValue(kTargets), names.targets}));
  if (options.IsNull(kWeights)) return request;
  ColumnsOption weights = {source, kWeights, options.GetValue(kWeights), names.targets};
  if (weights.names.size() > 1) {
    if (!weights.value.is_string()) {
      return weights.Error(absl::StrCat("is ", weights.value.Describe(),
                                        "; it takes one string: all outputs share the weights"));
    }
    weights.names = weights.names.first(1);
  }
  LOCKSTEP_ASSIGN_OR_RETURN(const std::vector<ColumnSource> resolved, Resolve(weights));
  request.weights = {.name = std::string(kWeights), .place = resolved.front().place};
  return request;
}

// A column that was opened, and how the job calls it.
struct OpenColumn {
  std::string label;  // "input 'image' ('/data/train.idx')"
  const Column* column = nullptr;
};

std::vector<OpenColumn> ColumnsOf(const Dataset& dataset, const DatasetRequest& request) {
  LOCKSTEP_CHECK(dataset.inputs.size() == request.inputs.size());
  LOCKSTEP_CHECK(dataset.targets.size() == request.targets.size());
  LOCKSTEP_CHECK((dataset.weights != nullptr) == request.weights.has_value());
  std::vector<OpenColumn> columns;
  const auto add = [&columns](absl::string_view what, const ColumnSource& source,
                              const Column* column) {
    columns.push_back({absl::StrCat(what, " '", source.name, "' ('", source.place, "')"), column});
  };
  for (size_t i = 0; i < request.inputs.size(); ++i) {
    add("input", request.inputs[i], dataset.inputs[i].get());
  }
  for (size_t i = 0; i < request.targets.size(); ++i) {
    add("target", request.targets[i], dataset.targets[i].get());
  }
  if (request.weights.has_value()) add("column", *request.weights, dataset.weights.get());
  return columns;
}

absl::Status CheckCounts(const DataSourceSpec& source, const std::vector<OpenColumn>& columns) {
  const OpenColumn& first = columns.front();
  for (const OpenColumn& other : columns) {
    if (other.column->count() == first.column->count()) continue;
    return ErrorAt(
        source.mark, source.where,
        absl::StrCat(first.label, " has ", first.column->count(), " samples, but ", other.label,
                     " has ", other.column->count(), "; give columns of the same samples"));
  }
  if (first.column->count() >= 1) return absl::OkStatus();
  return ErrorAt(source.mark, source.where,
                 absl::StrCat(first.label, " has no samples; give at least one"));
}

absl::Status CheckWeights(const Options& options, const Column* weights) {
  if (weights == nullptr) return absl::OkStatus();
  const DataField& field = weights->field();
  const bool is_float =
      field.type == kernels::SampleType::kF32 || field.type == kernels::SampleType::kF64;
  if (is_float && field.shape.elements() == 1) return absl::OkStatus();
  return options.Error(
      kWeights, absl::StrCat("is ", SampleTypeName(field.type), " of shape ",
                             field.shape.ToString(), " for each sample; give one f32 or f64"));
}

}  // namespace

absl::StatusOr<Dataset> OpenColumns(const DatasetRequest& request,
                                    absl::FunctionRef<absl::StatusOr<std::unique_ptr<Column>>(
                                        absl::string_view option, const ColumnSource& source)>
                                        open) {
  Dataset dataset;
  for (const ColumnSource& source : request.inputs) {
    LOCKSTEP_ASSIGN_OR_RETURN(dataset.inputs.emplace_back(), open(kInputs, source));
  }
  for (const ColumnSource& source : request.targets) {
    LOCKSTEP_ASSIGN_OR_RETURN(dataset.targets.emplace_back(), open(kTargets, source));
  }
  if (request.weights.has_value()) {
    LOCKSTEP_ASSIGN_OR_RETURN(dataset.weights, open(kWeights, *request.weights));
  }
  return dataset;
}

absl::StatusOr<Dataset> OpenDataset(const DataSourceSpec& source, const DataNames& names,
                                    DataEnvironment& environment) {
  LOCKSTEP_CHECK(!names.inputs.empty());
  LOCKSTEP_ASSIGN_OR_RETURN(const DatasetFormatDef* const format, FindDatasetFormat(source));
  LOCKSTEP_ASSIGN_OR_RETURN(const DatasetRequest request, MakeRequest(*format, source, names));
  absl::StatusOr<Dataset> dataset = format->open(request, environment);
  // Errors about an option say already where it stands.
  if (absl::IsInvalidArgument(dataset.status())) return dataset.status();
  if (!dataset.ok()) return Annotate(dataset.status(), source.where);
  const std::vector<OpenColumn> columns = ColumnsOf(*dataset, request);
  LOCKSTEP_RETURN_IF_ERROR(CheckCounts(source, columns));
  LOCKSTEP_RETURN_IF_ERROR(CheckWeights(request.options, dataset->weights.get()));
  dataset->count = columns.front().column->count();
  return dataset;
}

}  // namespace lockstep
