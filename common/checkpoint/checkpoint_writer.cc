#include "common/checkpoint/checkpoint_writer.h"

#include <utility>

#include "common/base/check.h"

namespace lockstep {

CheckpointWriter::CheckpointWriter(FileSystem& fs, const CheckpointLayout& layout)
    : fs_(fs), layout_(layout) {}

absl::Status CheckpointWriter::Start(std::function<CheckpointOutcome()> task) {
  if (started_) {
    return absl::UnavailableError(
        "checkpoint: the one before is still being written; skip this one or wait for it");
  }
  started_ = true;
  LOCKSTEP_CHECK(worker_.TryStart([this, task = std::move(task)] { outcome_ = task(); }));
  return absl::OkStatus();
}

std::optional<CheckpointOutcome> CheckpointWriter::Poll() {
  if (!started_ || worker_.busy()) return std::nullopt;
  started_ = false;
  return std::move(outcome_);
}

CheckpointOutcome CheckpointWriter::Wait() {
  LOCKSTEP_CHECK(started_);
  worker_.Wait();
  started_ = false;
  return std::move(outcome_);
}

absl::Status CheckpointWriter::StartPrepare(std::string root, int64_t step) {
  return Start([this, root = std::move(root), step] {
    CheckpointOutcome outcome;
    absl::StatusOr<std::string> directory = PrepareCheckpoint(fs_, root, step, layout_);
    outcome.status = directory.status();
    if (directory.ok()) outcome.directory = *std::move(directory);
    return outcome;
  });
}

absl::Status CheckpointWriter::StartWrite(std::string directory, OwnedSnapshot snapshot) {
  return Start([this, directory = std::move(directory), snapshot = std::move(snapshot)] {
    CheckpointOutcome outcome;
    absl::StatusOr<RangeDigests> ranges = WriteOwnedRanges(fs_, directory, layout_, snapshot);
    outcome.status = ranges.status();
    if (ranges.ok()) outcome.ranges = *std::move(ranges);
    return outcome;
  });
}

absl::Status CheckpointWriter::StartPublish(PublishRequest request, int keep,
                                            std::function<absl::Status()> before) {
  return Start([this, request = std::move(request), keep, before = std::move(before)] {
    CheckpointOutcome outcome;
    const absl::Status ready = before == nullptr ? absl::OkStatus() : before();
    absl::StatusOr<PublishedCheckpoint> published =
        ready.ok() ? PublishCheckpoint(fs_, request) : ready;
    outcome.status = published.status();
    if (published.ok()) {
      outcome.published = *std::move(published);
      outcome.pruned = PruneCheckpoints(fs_, request.root, keep, request.info.step);
    } else {
      // After a rename whose sync failed there is nothing under this name; removing that is fine.
      DiscardCheckpoint(fs_, request.directory).IgnoreError();
    }
    return outcome;
  });
}

}  // namespace lockstep
