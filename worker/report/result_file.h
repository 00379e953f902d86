// ResultFile: <out>/result.json, written last: a directory that has it holds a finished run.
// Thread: any. Errors: the file system's.
#ifndef LOCKSTEP_WORKER_REPORT_RESULT_FILE_H_
#define LOCKSTEP_WORKER_REPORT_RESULT_FILE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"

#include "common/env/file_system.h"
#include "worker/train/training_observer.h"

namespace lockstep {

struct RunResult {
  std::string job;
  std::string state = "SUCCEEDED";
  std::string model_sha256;
  int64_t steps = 0;
  int64_t epochs = 0;
  MetricValues metrics;  // the last epoch's, then "test_..."
  double seconds = 0;    // of the last attempt, from its first step to its last
  double samples_per_second = 0;
  int workers = 1;
  int threads = 1;
  std::string simd;
  std::string version;
  std::string data_hash;
  std::vector<std::string> files;  // beside it
  int64_t checkpoints_failed = 0;  // of the last attempt
};

absl::Status WriteResult(FileSystem& fs, const std::string& directory, const RunResult& result);

// One line: {"kind":"evaluation","metrics":{...},"model_sha256":...}, without a newline.
std::string EvaluationLine(const MetricValues& metrics, const std::string& model_sha256);

}  // namespace lockstep

#endif  // LOCKSTEP_WORKER_REPORT_RESULT_FILE_H_
