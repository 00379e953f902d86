#include "common/plan/model_summary.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace lockstep {
namespace {

// Display width of UTF-8 text whose characters are one column wide.
size_t Width(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

std::string Scaled(double value, double base, const std::vector<const char*>& prefixes,
                   absl::string_view unit) {
  // Three digits, also where rounding makes a longer number of them.
  size_t p = 0;
  while (std::abs(value) >= base - 0.5 && p + 1 < prefixes.size()) {
    value /= base;
    ++p;
  }
  const int decimals = p == 0 || std::abs(value) >= 99.95 ? 0 : std::abs(value) >= 9.995 ? 1 : 2;
  const std::string digits = absl::StrFormat("%.*f", decimals, value);
  const std::string suffix = absl::StrCat(prefixes[p], unit);
  return suffix.empty() ? digits : absl::StrCat(digits, " ", suffix);
}

}  // namespace

ModelSummary Summarize(const Model& model) {
  ModelSummary summary{.model = model.name(), .flops = model.flops()};
  for (size_t c = 0; c < model.calls().size(); ++c) {
    const Model::Call& call = model.calls()[c];
    const Model::LayerInfo& info = model.layers()[call.layer];
    LayerSummary layer{.name = model.tensors()[call.output].name,
                       .type = info.type,
                       .output_shape = info.layer->output_shape(),
                       .flops = info.layer->flops()};
    if (info.calls.front() == c) {
      for (const VariableSpec& variable : info.layer->variables()) {
        layer.parameters += variable.shape.elements();
      }
    }
    for (const size_t input : call.inputs) layer.inputs.push_back(model.tensors()[input].name);
    summary.layers.push_back(std::move(layer));
  }
  for (const Model::Variable& variable : model.variables()) {
    (variable.trainable ? summary.trainable_parameters : summary.fixed_parameters) +=
        variable.shape.elements();
  }
  return summary;
}

std::string ToText(const ModelSummary& summary) {
  std::vector<std::vector<std::string>> rows = {
      {"layer", "type", "output shape", "parameters", "FLOPs/sample", "inputs"}};
  for (const LayerSummary& layer : summary.layers) {
    rows.push_back({layer.name, layer.type, layer.output_shape.ToString(),
                    GroupedDigits(layer.parameters), HumanCount(layer.flops),
                    absl::StrJoin(layer.inputs, ", ")});
  }
  return absl::StrCat(
      "model '", summary.model, "'\n", FormatTable(rows, {false, false, false, true, true, false}),
      "parameters: ", GroupedDigits(summary.trainable_parameters + summary.fixed_parameters), " (",
      GroupedDigits(summary.trainable_parameters), " trainable, ",
      GroupedDigits(summary.fixed_parameters), " not)\n");
}

Value ToValue(const ModelSummary& summary) {
  Value::List layers;
  for (const LayerSummary& layer : summary.layers) {
    Value::List dims;
    for (const int64_t dim : layer.output_shape.dims()) dims.push_back(Value::Int(dim));
    Value::List inputs;
    for (const std::string& input : layer.inputs) inputs.push_back(Value::String(input));
    Value entry = Value::MakeMap();
    entry.Set("name", Value::String(layer.name));
    entry.Set("type", Value::String(layer.type));
    entry.Set("output_shape", Value::MakeList(std::move(dims)));
    entry.Set("parameters", Value::Int(layer.parameters));
    entry.Set("flops_per_sample", Value::Float(layer.flops));
    entry.Set("inputs", Value::MakeList(std::move(inputs)));
    layers.push_back(std::move(entry));
  }
  Value value = Value::MakeMap();
  value.Set("name", Value::String(summary.model));
  value.Set("layers", Value::MakeList(std::move(layers)));
  value.Set("trainable_parameters", Value::Int(summary.trainable_parameters));
  value.Set("fixed_parameters", Value::Int(summary.fixed_parameters));
  value.Set("flops_per_sample", Value::Float(summary.flops));
  return value;
}

std::string HumanCount(double count, absl::string_view unit) {
  return Scaled(count, 1000.0, {"", "k", "M", "G", "T", "P"}, unit);
}

std::string HumanBytes(int64_t bytes) {
  return Scaled(static_cast<double>(bytes), 1024.0, {"B", "KiB", "MiB", "GiB", "TiB"}, "");
}

std::string GroupedDigits(int64_t count) {
  const std::string digits = absl::StrCat(std::abs(count));
  std::string grouped = count < 0 ? "-" : "";
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) grouped += ',';
    grouped += digits[i];
  }
  return grouped;
}

std::string FormatTable(const std::vector<std::vector<std::string>>& rows,
                        const std::vector<bool>& right) {
  std::vector<size_t> widths(right.size(), 0);
  for (const auto& row : rows) {
    for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], Width(row[c]));
  }
  std::string text;
  size_t line_width = 0;
  for (size_t r = 0; r < rows.size(); ++r) {
    std::string line;
    for (size_t c = 0; c < rows[r].size(); ++c) {
      const std::string padding(widths[c] - Width(rows[r][c]), ' ');
      absl::StrAppend(&line, c == 0 ? "" : "  ", right[c] ? padding : "", rows[r][c],
                      right[c] ? "" : padding);
    }
    line_width = std::max(line_width, Width(line));
    line.erase(line.find_last_not_of(' ') + 1);
    absl::StrAppend(&text, line, "\n");
    if (r == 0) absl::StrAppend(&text, std::string(line_width, '-'), "\n");
  }
  return text;
}

}  // namespace lockstep
