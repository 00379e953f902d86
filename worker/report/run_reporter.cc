#include "worker/report/run_reporter.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "nlohmann/json.hpp"

#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "worker/report/picture_file.h"

namespace lockstep {
namespace {

using Json = nlohmann::ordered_json;

constexpr absl::Duration kRound = absl::Milliseconds(25);
constexpr absl::Duration kProgressInterval = absl::Milliseconds(50);

std::string Line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

double Seconds(absl::Duration duration) { return absl::ToDoubleSeconds(duration); }

}  // namespace

RunReporter::RunReporter(Parts parts)
    : parts_(std::move(parts)),
      start_(parts_.clock->Monotonic()),
      pipe_(parts_.progress_pipe),
      thread_("report", [this] { Serve(); }) {}

RunReporter::~RunReporter() { Finish().IgnoreError(); }

template <typename Fill>
void RunReporter::Push(Kind kind, Fill fill) {
  const auto write = [&](Record& record) {
    record.kind = kind;
    record.time = parts_.clock->Monotonic() - start_;
    fill(record);
  };
  while (!ring_.TryPush(write)) {
    bell_.AddAndWake(1);
    PauseFor(absl::Milliseconds(1));
  }
  if (kind != Kind::kStep) bell_.AddAndWake(1);
}

void RunReporter::OnStart(const RunReport& report) {
  start_ = parts_.clock->Monotonic();
  Push(Kind::kStart, [&](Record& record) { record.run = report; });
}

void RunReporter::OnPhase(absl::string_view phase) {
  Push(Kind::kPhase, [&](Record& record) { record.text = std::string(phase); });
}

void RunReporter::OnStep(const StepReport& report) {
  Push(Kind::kStep, [&](Record& record) {
    record.step = report.step;
    record.epoch = report.epoch;
    record.loss = report.loss;
    record.samples = report.samples;
    std::copy_n(report.running.begin(), std::min(report.running.size(), kRunningMax),
                record.running.begin());
  });
}

void RunReporter::OnEpoch(const EpochReport& report) {
  Push(Kind::kEpoch, [&](Record& record) {
    record.step = report.step;
    record.epoch = report.epoch;
    record.metrics = report.metrics;
  });
}

void RunReporter::OnPictures(PicturesReport report) {
  Push(Kind::kPictures, [&](Record& record) { record.pictures = std::move(report); });
}

void RunReporter::OnCheckpoint(int64_t step) {
  Push(Kind::kCheckpoint, [&](Record& record) { record.step = step; });
}

void RunReporter::OnCheckpointFailed(const absl::Status& status) {
  Push(Kind::kCheckpointFailed,
       [&](Record& record) { record.text = std::string(status.message()); });
}

absl::Status RunReporter::MakeDurable() {
  const uint32_t wanted = sync_wanted_.AddAndWake(1);
  bell_.AddAndWake(1);
  for (uint32_t done = sync_done_.Load(); static_cast<int32_t>(done - wanted) < 0;
       done = sync_done_.Load()) {
    sync_done_.WaitWhile(done, Spin::kNone, absl::Seconds(1));
  }
  return sync_status_;
}

absl::Status RunReporter::Finish() {
  ending_ = true;
  bell_.AddAndWake(1);
  thread_.Join();
  return status_;
}

void RunReporter::Serve() {
  for (;;) {
    const uint32_t rings = bell_.Load();
    const uint32_t wanted = sync_wanted_.Load();
    const bool ending = ending_;
    DrainRing();
    if (log_ != nullptr) {
      const bool sync = ending || wanted != sync_done_.Load();
      Note(sync ? log_->Sync() : log_->Write());
    }
    TellProgress();
    if (wanted != sync_done_.Load()) {
      sync_status_ = status_;
      sync_done_.StoreAndWake(wanted);
    }
    if (ending) return;
    bell_.WaitWhile(rings, Spin::kNone, kRound);
  }
}

void RunReporter::DrainRing() {
  while (ring_.TryPop([this](const Record& record) { Take(record); })) {
  }
}

void RunReporter::Note(const absl::Status& status) {
  if (!status.ok() && status_.ok()) {
    Log(LogLevel::kWarning, "metrics_not_written", {{"why", status.message()}});
  }
  status_ = status;
}

void RunReporter::Take(const Record& record) {
  switch (record.kind) {
    case Kind::kStart:
      return TakeStart(record);
    case Kind::kStep:
      return TakeStep(record);
    case Kind::kEpoch:
      return TakeEpoch(record);
    case Kind::kPictures:
      return TakePictures(record);
    case Kind::kPhase:
      TellProgress();
      return pipe_.Write(Line({{"kind", "phase"}, {"phase", record.text}}) + "\n");
    case Kind::kCheckpoint:
      return pipe_.Write(Line({{"kind", "checkpoint"}, {"step", record.step}}) + "\n");
    case Kind::kCheckpointFailed:
      return Warn(absl::StrCat("a checkpoint could not be written: ", record.text));
  }
}

void RunReporter::TakeStart(const Record& record) {
  run_ = record.run;
  absl::StatusOr<std::unique_ptr<MetricsLog>> log = MetricsLog::Open(
      *parts_.fs, parts_.metrics_path, {.steps = run_.first_step, .epochs = run_.epochs_closed});
  if (log.ok()) {
    log_ = *std::move(log);
  } else {
    Note(log.status());
  }
  pipe_.Write(Line({{"kind", "run"},
                    {"first_step", run_.first_step},
                    {"total_steps", run_.total_steps},
                    {"steps_per_epoch", run_.steps_per_epoch},
                    {"samples", run_.samples}}) +
              "\n");
}

void RunReporter::TakeStep(const Record& record) {
  samples_ += record.samples;
  newest_ = record;
  newest_told_ = false;
  if (log_ == nullptr) return;
  log_->Append(Line({{"kind", "step"},
                     {"step", record.step},
                     {"epoch", record.epoch},
                     {"loss", record.loss},
                     {"seconds", Seconds(record.time)}}));
}

void RunReporter::TakeEpoch(const Record& record) {
  told_ = -absl::InfiniteDuration();
  TellProgress();
  Json json = {{"kind", "epoch"}, {"epoch", record.epoch}, {"step", record.step}};
  for (const auto& [name, value] : record.metrics) json[name] = value;
  json["seconds"] = Seconds(record.time);
  const std::string line = Line(json);
  if (log_ != nullptr) log_->Append(line);
  pipe_.Write(line + "\n");
  if (parts_.say == nullptr) return;
  std::string text = absl::StrCat("epoch ", record.epoch, ": ");
  for (const auto& [name, value] : record.metrics) {
    absl::StrAppendFormat(&text, "%s%s %.4f", name == "loss" ? "" : ", ", name, value);
  }
  parts_.say(text);
}

// Durable before MakeDurable returns, so a checkpoint of this epoch is never without. Training goes
// on without a picture.
void RunReporter::TakePictures(const Record& record) {
  const PicturesReport pictures = std::move(record.pictures);
  const absl::Status status = WritePictures(*parts_.fs, parts_.pictures_directory, pictures);
  if (status.ok()) return;
  Log(LogLevel::kWarning, "pictures_not_written", {{"why", status.message()}});
  Warn(absl::StrCat("the samples of epoch ", pictures.epoch,
                    " could not be written: ", status.message()));
}

void RunReporter::Warn(absl::string_view message) {
  pipe_.Write(Line({{"kind", "warning"}, {"message", message}}) + "\n");
}

// The newest step, not too often: who watches needs no other.
void RunReporter::TellProgress() {
  const absl::Duration now = parts_.clock->Monotonic();
  if (newest_told_ || now - told_ < kProgressInterval) return;
  told_ = now;
  newest_told_ = true;
  const double seconds = Seconds(newest_.time);
  Json json = {{"kind", "step"},
               {"step", newest_.step},
               {"epoch", newest_.epoch},
               {"samples_per_second", static_cast<double>(samples_) / std::max(seconds, 1e-9)},
               {"seconds_per_step", seconds / static_cast<double>(newest_.step - run_.first_step)},
               {"seconds", seconds}};
  for (size_t i = 0; i < std::min(run_.metric_names.size(), kRunningMax); ++i) {
    json[run_.metric_names[i]] = newest_.running[i];
  }
  pipe_.Write(Line(json) + "\n");
}

}  // namespace lockstep
