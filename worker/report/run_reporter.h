// RunReporter: what rank 0 says of a run: every step and epoch to metrics.jsonl, pictures to files,
// and, to whoever supervises, the newest state through the progress pipe some times a second.
// Thread: the trainer's; the writing is on a thread of its own, so training never waits for a disk
// unless it is thousands of steps behind. Errors: see Finish and MakeDurable.
#ifndef LOCKSTEP_WORKER_REPORT_RUN_REPORTER_H_
#define LOCKSTEP_WORKER_REPORT_RUN_REPORTER_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "common/base/futex.h"
#include "common/base/ring.h"
#include "common/base/thread.h"
#include "common/env/clock.h"
#include "common/env/fifo.h"
#include "common/env/file_system.h"
#include "worker/report/metrics_log.h"
#include "worker/train/training_observer.h"

namespace lockstep {

class RunReporter final : public TrainingObserver {
 public:
  // `progress_pipe`: empty where nobody supervises. All outlive the reporter.
  struct Parts {
    FileSystem* fs;
    const Clock* clock;
    std::string metrics_path;
    std::string pictures_directory;
    std::string progress_pipe;
    // Where a person is told instead (bare mpirun): one line per epoch, or null.
    std::function<void(absl::string_view)> say;
  };
  explicit RunReporter(Parts parts);
  ~RunReporter() override;

  void OnStart(const RunReport& report) override;
  void OnPhase(absl::string_view phase) override;
  void OnStep(const StepReport& report) override;
  void OnEpoch(const EpochReport& report) override;
  void OnPictures(PicturesReport report) override;
  void OnCheckpoint(int64_t step) override;
  void OnCheckpointFailed(const absl::Status& status) override;
  absl::Status MakeDurable() override;

  // Writes what is left; no reports after it. The status of metrics.jsonl.
  absl::Status Finish();

 private:
  static constexpr size_t kRunningMax = 16;
  enum class Kind { kStart, kPhase, kStep, kEpoch, kPictures, kCheckpoint, kCheckpointFailed };
  struct Record {
    Kind kind = Kind::kStep;
    int64_t step = 0;
    int64_t epoch = 0;
    int64_t samples = 0;
    double loss = 0;
    absl::Duration time;  // since the start of this attempt's training
    std::array<double, kRunningMax> running = {};
    MetricValues metrics;             // of an epoch
    std::string text;                 // a phase, a failure
    RunReport run;                    // of the start
    mutable PicturesReport pictures;  // taken out by the writer
  };

  template <typename Fill>
  void Push(Kind kind, Fill fill);
  void Serve();
  void DrainRing();
  void Take(const Record& record);
  void TakeStart(const Record& record);
  void TakeStep(const Record& record);
  void TakeEpoch(const Record& record);
  void TakePictures(const Record& record);
  void Warn(absl::string_view message);
  void TellProgress();
  void Note(const absl::Status& status);

  const Parts parts_;
  absl::Duration start_;  // of the trainer's thread
  Ring<Record> ring_{4096};
  Futex bell_;         // rung for what should not wait for the next round
  Futex sync_wanted_;  // counts requests
  Futex sync_done_;    // the last one that was served
  std::atomic<bool> ending_ = false;

  // Of the writing thread.
  std::unique_ptr<MetricsLog> log_;
  FifoWriter pipe_;
  RunReport run_;
  Record newest_;             // step
  bool newest_told_ = true;   // to the pipe
  absl::Duration told_;       // when
  int64_t samples_ = 0;       // of this attempt so far
  absl::Status status_;       // of metrics.jsonl; read by others after the end
  absl::Status sync_status_;  // the same, at the last request; read after sync_done_

  Thread thread_;  // last: starts when all else is there
};

}  // namespace lockstep

#endif  // LOCKSTEP_WORKER_REPORT_RUN_REPORTER_H_
