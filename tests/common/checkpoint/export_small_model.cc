// export_small_model FILE: writes a model of odd names, shapes and values to FILE and prints its
// model_sha256.
#include <cstdio>
#include <vector>

#include "common/checkpoint/exporter_registry.h"
#include "common/checkpoint/model_hash.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  std::vector<float> values(3 * 3 * 32);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) * -0.37f + 3e-40f;
  const absl::Span<const float> all(values);
  const std::vector<lockstep::TensorView> variables = {
      {"z/conv2d/kernel", {3, 3, 1, 32}, all},
      {"a/d\xC3\xA9nse \"x\"/bias", {1}, all.first(1)},
      {"norm/mean", {}, all.subspan(7, 1)}};
  const lockstep::ExportedModel model = {.job_name = "small",
                                         .model_sha256 = lockstep::ModelSha256(variables),
                                         .numerics_version = 1,
                                         .variables = variables};
  const auto exporter = lockstep::FindExporter("safetensors");
  if (!exporter.ok() || !(*exporter)->write(model, lockstep::PosixFileSystem(), argv[1]).ok())
    return 1;
  std::printf("%s\n", model.model_sha256.c_str());
  return 0;
}
