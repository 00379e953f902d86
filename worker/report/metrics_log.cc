#include "worker/report/metrics_log.h"

#include <utility>

#include "nlohmann/json.hpp"

#include "common/base/status_macros.h"

namespace lockstep {
namespace {

bool IsKept(absl::string_view line, const MetricsLog::Kept& kept) {
  const nlohmann::json json =
      nlohmann::json::parse(line.begin(), line.end(), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return false;
  const auto number = [&json](const char* key) {
    const auto found = json.find(key);
    return found != json.end() && found->is_number_integer() ? found->get<int64_t>() : -1;
  };
  const auto kind = json.find("kind");
  if (kind == json.end() || !kind->is_string()) return false;
  const bool epoch = *kind == "epoch";
  const int64_t place = number(epoch ? "epoch" : "step");
  return place >= 0 && place <= (epoch ? kept.epochs : kept.steps);
}

// Lines are in order, so what is kept is a beginning: looked for from the end.
int64_t KeptBytes(absl::string_view text, const MetricsLog::Kept& kept) {
  if (kept.steps == 0) return 0;
  size_t end = text.rfind('\n');
  while (end != absl::string_view::npos) {
    const size_t before = end == 0 ? absl::string_view::npos : text.rfind('\n', end - 1);
    const size_t begin = before == absl::string_view::npos ? 0 : before + 1;
    if (IsKept(text.substr(begin, end - begin), kept)) return static_cast<int64_t>(end) + 1;
    end = before;
  }
  return 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<MetricsLog>> MetricsLog::Open(FileSystem& fs,
                                                             const std::string& path,
                                                             const Kept& kept) {
  int64_t kept_bytes = 0;
  LOCKSTEP_ASSIGN_OR_RETURN(const bool exists, fs.Exists(path));
  if (exists) {
    LOCKSTEP_ASSIGN_OR_RETURN(const std::unique_ptr<MappedFile> text, fs.MapFile(path));
    kept_bytes = KeptBytes(text->bytes(), kept);
  }
  LOCKSTEP_ASSIGN_OR_RETURN(std::unique_ptr<File> file,
                            fs.Open(path, exists ? OpenMode::kUpdate : OpenMode::kCreateNew));
  LOCKSTEP_RETURN_IF_ERROR(file->Truncate(kept_bytes));
  return std::unique_ptr<MetricsLog>(new MetricsLog(std::move(file), kept_bytes));
}

void MetricsLog::Append(absl::string_view line) {
  pending_.append(line.data(), line.size());
  pending_ += '\n';
}

absl::Status MetricsLog::Write() {
  if (pending_.empty()) return absl::OkStatus();
  LOCKSTEP_RETURN_IF_ERROR(file_->Write(size_bytes_, pending_));
  size_bytes_ += std::ssize(pending_);
  pending_.clear();
  return absl::OkStatus();
}

absl::Status MetricsLog::Sync() {
  LOCKSTEP_RETURN_IF_ERROR(Write());
  return file_->Sync();
}

}  // namespace lockstep
