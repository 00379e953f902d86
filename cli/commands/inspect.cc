// lockstep inspect: what a model file or a checkpoint holds, and whether it is sound.
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cli/command.h"
#include <CLI/CLI.hpp>

#include "common/base/status_macros.h"
#include "common/checkpoint/checkpoint_reader.h"
#include "common/checkpoint/model_hash.h"
#include "common/checkpoint/safetensors.h"
#include "common/env/file_system.h"
#include "common/plan/model_summary.h"

namespace lockstep::cli::commands::inspect {
namespace {

struct Request {
  std::string path;
  bool json = false;
};

Value TensorsValue(const std::vector<TensorView>& tensors) {
  Value::List list;
  for (const TensorView& tensor : tensors) {
    Value::List dims;
    for (const int64_t dim : tensor.shape.dims()) dims.push_back(Value::Int(dim));
    Value entry = Value::MakeMap();
    entry.Set("name", Value::String(tensor.name));
    entry.Set("shape", Value::MakeList(std::move(dims)));
    list.push_back(std::move(entry));
  }
  return Value::MakeList(std::move(list));
}

std::string TensorsText(const std::vector<TensorView>& tensors) {
  std::vector<std::vector<std::string>> rows = {{"tensor", "shape", "elements"}};
  for (const TensorView& tensor : tensors) {
    rows.push_back({tensor.name, tensor.shape.ToString(), GroupedDigits(tensor.shape.elements())});
  }
  return FormatTable(rows, {false, false, true});
}

absl::Status InspectModel(const Request& request) {
  LOCKSTEP_ASSIGN_OR_RETURN(const SafetensorsFile file,
                            SafetensorsFile::Open(PosixFileSystem(), request.path));
  LOCKSTEP_ASSIGN_OR_RETURN(const std::vector<TensorView> tensors, file.FloatViews());
  const std::string hash = ModelSha256(tensors);
  std::string promised;
  for (const auto& [key, value] : file.metadata()) {
    if (key == "model_sha256") promised = value;
  }
  const absl::string_view verdict = promised.empty()   ? "not in the file"
                                    : promised == hash ? "as the file says"
                                                       : "NOT what the file says";
  if (request.json) {
    Value value = Value::MakeMap();
    value.Set("kind", Value::String("model"));
    for (const auto& [key, text] : file.metadata()) value.Set(key, Value::String(text));
    value.Set("computed_sha256", Value::String(hash));
    value.Set("tensors", TensorsValue(tensors));
    PrintJson(value);
  } else {
    Print(TensorsText(tensors));
    for (const auto& [key, text] : file.metadata()) Print(absl::StrCat(key, ": ", text, "\n"));
    Print(absl::StrCat("model sha256 ", hash, " (", verdict, ")\n"));
  }
  if (promised.empty() || promised == hash) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat(request.path, ": the variables were changed after they were exported"));
}

absl::Status InspectCheckpoint(const Request& request) {
  LOCKSTEP_ASSIGN_OR_RETURN(const Checkpoint checkpoint,
                            ReadCheckpoint(PosixFileSystem(), request.path));
  const CheckpointInfo& info = checkpoint.manifest.info;
  if (request.json) {
    Value value = Value::MakeMap();
    value.Set("kind", Value::String("checkpoint"));
    value.Set("step", Value::Int(info.step));
    value.Set("epochs_finished", Value::Int(info.epoch));
    value.Set("numerics_version", Value::Int(info.numerics_version));
    value.Set("workers", Value::Int(info.workers));
    value.Set("model_sha256", Value::String(checkpoint.manifest.model_sha256));
    value.Set("variables", TensorsValue(checkpoint.values.tensors));
    value.Set("optimizer_state", TensorsValue(checkpoint.optimizer.tensors));
    PrintJson(value);
    return absl::OkStatus();
  }
  Print(absl::StrCat("checkpoint of step ", info.step, ", ", info.epoch,
                     " epochs finished, written by ", info.workers, " workers, numerics ",
                     info.numerics_version, "; all checksums are right\n\n",
                     TensorsText(checkpoint.values.tensors), "\noptimizer state\n",
                     TensorsText(checkpoint.optimizer.tensors), "\nmodel sha256 ",
                     checkpoint.manifest.model_sha256, "\n"));
  return absl::OkStatus();
}

int Run(const Request& request) {
  const absl::StatusOr<FileInfo> info = PosixFileSystem().Stat(request.path);
  if (!info.ok()) return Refuse(info.status());
  const absl::Status status =
      info->type == FileType::kDirectory ? InspectCheckpoint(request) : InspectModel(request);
  if (status.ok()) return kSucceeded;
  PrintError(status.message());
  return absl::IsDataLoss(status) ? kJobFailed : kRequestWrong;
}

std::function<int()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  app.add_option("path", request->path, "a .safetensors file or a checkpoint directory")
      ->required();
  app.add_flag("--json", request->json, "as JSON");
  return [request] { return Run(*request); };
}

}  // namespace

extern const CommandDef kDef;
constinit const CommandDef kDef = {"inspect", "show and verify a model file or a checkpoint",
                                   "lockstep inspect out/model.safetensors", &Add};

}  // namespace lockstep::cli::commands::inspect
