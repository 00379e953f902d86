#include "coordinator/launch/progress_channel.h"

#include <utility>

#include "nlohmann/json.hpp"

#include "common/base/status_macros.h"

namespace lockstep {
namespace {

constexpr size_t kLineBytesMax = size_t{64} << 10;

ProgressLine::Kind KindOf(const std::string& kind) {
  if (kind == "run") return ProgressLine::Kind::kRun;
  if (kind == "phase") return ProgressLine::Kind::kPhase;
  if (kind == "step") return ProgressLine::Kind::kStep;
  if (kind == "epoch") return ProgressLine::Kind::kEpoch;
  if (kind == "checkpoint") return ProgressLine::Kind::kCheckpoint;
  if (kind == "error") return ProgressLine::Kind::kError;
  return ProgressLine::Kind::kOther;
}

}  // namespace

std::optional<ProgressLine> ParseProgressLine(absl::string_view line) {
  try {
    const auto object = nlohmann::json::parse(line.begin(), line.end());
    ProgressLine parsed;
    parsed.kind = KindOf(object.at("kind").get<std::string>());
    parsed.json = std::string(line);
    switch (parsed.kind) {
      case ProgressLine::Kind::kRun:
        parsed.step = object.at("first_step").get<int64_t>();
        break;
      case ProgressLine::Kind::kStep:
      case ProgressLine::Kind::kCheckpoint:
        parsed.step = object.at("step").get<int64_t>();
        break;
      case ProgressLine::Kind::kPhase:
        parsed.phase = object.at("phase").get<std::string>();
        break;
      case ProgressLine::Kind::kError:
        parsed.code = object.at("code").get<int>();
        parsed.message = object.at("message").get<std::string>();
        break;
      case ProgressLine::Kind::kEpoch:
      case ProgressLine::Kind::kOther:
        break;
    }
    return parsed;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

absl::StatusOr<ProgressChannel> ProgressChannel::Create(const std::string& path) {
  LOCKSTEP_ASSIGN_OR_RETURN(FifoReader reader, FifoReader::Create(path));
  return ProgressChannel(std::move(reader));
}

std::vector<ProgressLine> ProgressChannel::Poll() {
  std::vector<ProgressLine> lines;
  const std::string arrived = reader_.ReadAvailable();
  for (const char c : arrived) {
    if (c != '\n') {
      if (partial_.size() < kLineBytesMax) {
        partial_.push_back(c);
      } else {
        skipping_ = true;
      }
      continue;
    }
    std::optional<ProgressLine> line = skipping_ ? std::nullopt : ParseProgressLine(partial_);
    if (line.has_value()) {
      lines.push_back(*std::move(line));
    } else {
      ++dropped_lines_;
    }
    partial_.clear();
    skipping_ = false;
  }
  return lines;
}

}  // namespace lockstep
