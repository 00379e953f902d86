// model.safetensors: every variable in the order of the hash, so that five lines of Python
// recompute it; docs/FORMATS.md.
#include "common/checkpoint/safetensors.h"

#include <memory>

#include "absl/strings/str_cat.h"

#include "common/base/status_macros.h"
#include "common/checkpoint/exporter_registry.h"

namespace lockstep::exporters::safetensors {
namespace {

absl::Status WriteTo(File& file, const std::string& header, const ExportedModel& model) {
  LOCKSTEP_RETURN_IF_ERROR(file.Write(0, header));
  int64_t offset = static_cast<int64_t>(header.size());
  for (const TensorView& variable : model.variables) {
    const absl::string_view bytes = BytesOf(variable.values);
    LOCKSTEP_RETURN_IF_ERROR(file.Write(offset, bytes));
    offset += static_cast<int64_t>(bytes.size());
  }
  return absl::OkStatus();
}

absl::Status Write(const ExportedModel& model, FileSystem& fs, const std::string& path) {
  std::vector<TensorSpec> specs;
  for (const TensorView& variable : model.variables)
    specs.push_back({variable.name, variable.shape});
  LOCKSTEP_ASSIGN_OR_RETURN(
      const std::string header,
      EncodeSafetensorsHeader(specs, {{"format", "lockstep"},
                                      {"model_sha256", model.model_sha256},
                                      {"numerics_version", absl::StrCat(model.numerics_version)},
                                      {"job", model.job_name}}));
  return ReplaceFileSynced(fs, path, [&](File& file) { return WriteTo(file, header, model); });
}

}  // namespace

extern const ExporterDef kDef;
constinit const ExporterDef kDef = {
    .name = "safetensors",
    .summary = "all variables in Keras' weight order; anyone can check model_sha256 against it",
    .file_name = "model.safetensors",
    .write = &Write,
};

}  // namespace lockstep::exporters::safetensors
