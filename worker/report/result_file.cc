#include "worker/report/result_file.h"

#include "nlohmann/json.hpp"

#include "common/base/numerics_version.h"
#include "common/checkpoint/job_output.h"

namespace lockstep {
namespace {

using Json = nlohmann::ordered_json;

Json ToJson(const MetricValues& metrics) {
  Json json = Json::object();
  for (const auto& [name, value] : metrics) json[name] = value;
  return json;
}

}  // namespace

absl::Status WriteResult(FileSystem& fs, const std::string& directory, const RunResult& result) {
  const Json json = {{"job", result.job},
                     {"state", result.state},
                     {"model_sha256", result.model_sha256},
                     {"numerics_version", kNumericsVersion},
                     {"steps", result.steps},
                     {"epochs", result.epochs},
                     {"metrics", ToJson(result.metrics)},
                     {"seconds", result.seconds},
                     {"samples_per_second", result.samples_per_second},
                     {"workers", result.workers},
                     {"threads", result.threads},
                     {"simd", result.simd},
                     {"version", result.version},
                     {"data_hash", result.data_hash},
                     {"files", result.files},
                     {"checkpoints_failed", result.checkpoints_failed}};
  return ReplaceFileSynced(fs, JoinPath(directory, kResultName),
                           json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

std::string EvaluationLine(const MetricValues& metrics, const std::string& model_sha256) {
  const Json json = {
      {"kind", "evaluation"}, {"metrics", ToJson(metrics)}, {"model_sha256", model_sha256}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace lockstep
