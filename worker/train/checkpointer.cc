#include "worker/train/checkpointer.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "common/base/check.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "worker/comm/agreement.h"

namespace lockstep {
namespace {

constexpr size_t kPathBytesMax = 4096;

}  // namespace

Checkpointer::Checkpointer(const Parts& parts) : parts_(parts), writer_(*parts.fs, *parts.layout) {}

void Checkpointer::Start(CheckpointInfo info) {
  LOCKSTEP_CHECK(idle());
  parts_.parameters->TakeSnapshot();
  info_ = std::move(info);
  outcome_ = {};
  stage_ = Stage::kPreparing;
  if (leads()) outcome_.status = writer_.StartPrepare(parts_.root, info_.step);
}

void Checkpointer::Take(CheckpointOutcome outcome) {
  outcome_ = std::move(outcome);
  if (outcome_.status.ok()) return;
  Log(LogLevel::kWarning, "checkpoint_failed",
      {{"step", info_.step}, {"why", outcome_.status.message()}});
}

uint32_t Checkpointer::Flags() {
  if (idle()) return 0;
  if (!writer_.idle()) {
    std::optional<CheckpointOutcome> outcome = writer_.Poll();
    if (!outcome.has_value()) return 0;
    Take(*std::move(outcome));
  }
  return outcome_.status.ok() ? ControlWord::kReady : ControlWord::kFailed;
}

void Checkpointer::WaitForStage() {
  if (!writer_.idle()) Take(writer_.Wait());
}

absl::Status Checkpointer::Advance(const StepOutcome& outcome) {
  if (idle()) return absl::OkStatus();
  if (outcome.failed) {
    // Nobody writes into the directory any more once it goes; all hear why.
    WaitForStage();
    last_failure_ = AgreeOn(*parts_.communicator, outcome_.status);
    if (absl::IsUnavailable(last_failure_) || absl::IsDeadlineExceeded(last_failure_)) {
      return last_failure_;
    }
    if (leads() && !directory_.empty()) {
      DiscardCheckpoint(*parts_.fs, directory_).IgnoreError();  // the next attempt sweeps again
    }
    ++failed_count_;
    Finish();
    return absl::OkStatus();
  }
  if (!outcome.ready) return absl::OkStatus();
  switch (stage_) {
    case Stage::kIdle:
      break;
    case Stage::kPreparing:
      return EnterWriting();
    case Stage::kWriting:
      return EnterPublishing();
    case Stage::kPublishing:
      if (leads() && !outcome_.pruned.ok()) {
        Log(LogLevel::kWarning, "old_checkpoints_stay", {{"why", outcome_.pruned.message()}});
      }
      published_step_ = info_.step;
      Finish();
  }
  return absl::OkStatus();
}

absl::Status Checkpointer::EnterWriting() {
  std::string path(kPathBytesMax, '\0');
  if (leads()) std::copy(outcome_.directory.begin(), outcome_.directory.end(), path.begin());
  LOCKSTEP_RETURN_IF_ERROR(parts_.communicator->Broadcast(
      {reinterpret_cast<std::byte*>(path.data()), path.size()}, /*root=*/0));
  directory_ = path.c_str();
  outcome_ = {};
  stage_ = Stage::kWriting;
  return writer_.StartWrite(directory_, parts_.parameters->snapshot());
}

// All ranks' digests, in order of ranks.
absl::StatusOr<RangeDigests> Checkpointer::GatherDigests() {
  const auto size = static_cast<size_t>(parts_.communicator->size());
  const auto rank = static_cast<size_t>(parts_.communicator->rank());
  std::vector<int64_t> counts(size, 0);
  std::vector<Range> places(size);
  for (size_t r = 0; r < size; ++r) {
    places[r] = {static_cast<int64_t>(r * sizeof(int64_t)),
                 static_cast<int64_t>((r + 1) * sizeof(int64_t))};
  }
  counts[rank] = std::ssize(outcome_.ranges);
  LOCKSTEP_RETURN_IF_ERROR(
      parts_.communicator->Exchange(places, reinterpret_cast<std::byte*>(counts.data())));
  int64_t total = 0;
  for (size_t r = 0; r < size; ++r) {
    const int64_t bytes = counts[r] * static_cast<int64_t>(sizeof(RangeDigest));
    places[r] = {total, total + bytes};
    total += bytes;
  }
  RangeDigests all(static_cast<size_t>(total) / sizeof(RangeDigest));
  std::copy(outcome_.ranges.begin(), outcome_.ranges.end(),
            all.begin() + places[rank].begin / static_cast<int64_t>(sizeof(RangeDigest)));
  LOCKSTEP_RETURN_IF_ERROR(
      parts_.communicator->Exchange(places, reinterpret_cast<std::byte*>(all.data())));
  return all;
}

absl::Status Checkpointer::EnterPublishing() {
  LOCKSTEP_ASSIGN_OR_RETURN(RangeDigests ranges, GatherDigests());
  outcome_ = {};
  stage_ = Stage::kPublishing;
  if (!leads()) return absl::OkStatus();
  return writer_.StartPublish({.root = parts_.root,
                               .directory = directory_,
                               .layout = parts_.layout,
                               .info = info_,
                               .ranges = std::move(ranges)},
                              parts_.keep, parts_.before_publish);
}

void Checkpointer::Finish() {
  stage_ = Stage::kIdle;
  directory_.clear();
  outcome_ = {};
}

}  // namespace lockstep
