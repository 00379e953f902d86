// The forms in which users take a model home: the room common/checkpoint/exporters, by name
// (`output.formats`). Thread: any. Errors: INVALID_ARGUMENT for an unknown name, with the near one;
// the file system's for the rest.
#ifndef LOCKSTEP_COMMON_CHECKPOINT_EXPORTER_REGISTRY_H_
#define LOCKSTEP_COMMON_CHECKPOINT_EXPORTER_REGISTRY_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "common/checkpoint/tensor_view.h"
#include "common/env/file_system.h"

namespace lockstep {

struct ExportedModel {
  std::string job_name;
  std::string model_sha256;
  int numerics_version = 0;
  absl::Span<const TensorView> variables;  // in the order of the hash
};

struct ExporterDef {
  absl::string_view name;
  absl::string_view summary;
  absl::string_view file_name;
  // Replaces `path` as a whole: it holds the old file or the new one.
  absl::Status (*write)(const ExportedModel& model, FileSystem& fs, const std::string& path);
};

// Sorted by name.
absl::Span<const ExporterDef* const> Exporters();
absl::StatusOr<const ExporterDef*> FindExporter(absl::string_view name);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_CHECKPOINT_EXPORTER_REGISTRY_H_
