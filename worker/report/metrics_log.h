// MetricsLog: <out>/metrics.jsonl, a line for every step and epoch, each exactly once however often
// the job was interrupted: opening it cuts off what the checkpoint has not kept. Thread: one.
// Errors: the file system's; what could not be written stays in memory and is tried again with the
// next Write, so a full disk loses no line while the process lives.
#ifndef LOCKSTEP_WORKER_REPORT_METRICS_LOG_H_
#define LOCKSTEP_WORKER_REPORT_METRICS_LOG_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "common/env/file_system.h"

namespace lockstep {

class MetricsLog {
 public:
  // Lines of later steps and epochs than these are cut off, as is a last line that is not whole.
  // Step 0 starts a new file.
  struct Kept {
    int64_t steps = 0;
    int64_t epochs = 0;
  };
  static absl::StatusOr<std::unique_ptr<MetricsLog>> Open(FileSystem& fs, const std::string& path,
                                                          const Kept& kept);

  // `line` without a newline.
  void Append(absl::string_view line);
  // Hands all that was appended to the operating system.
  absl::Status Write();
  // The same, and waits until it is on the disk.
  absl::Status Sync();

 private:
  MetricsLog(std::unique_ptr<File> file, int64_t size_bytes)
      : file_(std::move(file)), size_bytes_(size_bytes) {}

  std::unique_ptr<File> file_;
  int64_t size_bytes_;  // written
  std::string pending_;
};

}  // namespace lockstep

#endif  // LOCKSTEP_WORKER_REPORT_METRICS_LOG_H_
