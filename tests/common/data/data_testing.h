// For tests of common/data: a folder with a cache of its own, data files made byte by byte, the
// values of a column.
#ifndef LOCKSTEP_TESTS_COMMON_DATA_DATA_TESTING_H_
#define LOCKSTEP_TESTS_COMMON_DATA_DATA_TESTING_H_

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include <zlib.h>

#include "common/base/check.h"
#include "common/base/log.h"
#include "common/data/data_cache.h"
#include "common/data/dataset_format.h"
#include "common/spec/job_spec.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace lockstep::testing {

// Bytes of `values` in this machine's order.
template <typename T>
std::string BytesOf(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

inline std::string BigEndian32(uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16),
          static_cast<char>(value >> 8), static_cast<char>(value)};
}

// `type`: the byte of the format, 8 for u8.
inline std::string IdxBytes(int type, const std::vector<uint32_t>& dims, absl::string_view data) {
  std::string bytes = {0, 0, static_cast<char>(type), static_cast<char>(dims.size())};
  for (const uint32_t dim : dims) bytes += BigEndian32(dim);
  return absl::StrCat(bytes, data);
}

// `window_bits`: of zlib; 31 makes a gzip member, -15 the deflate stream alone.
inline std::string Deflated(absl::string_view bytes, int window_bits) {
  z_stream stream = {};
  LOCKSTEP_CHECK(deflateInit2(&stream, 6, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, bytes.size()) + 32, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  LOCKSTEP_CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

inline std::string GzipBytes(absl::string_view bytes) { return Deflated(bytes, 31); }

// Keeps what is written, in pieces one after another.
class MemoryFile final : public File {
 public:
  absl::StatusOr<size_t> Read(int64_t, absl::Span<char>) override { return 0; }
  absl::Status Write(int64_t offset, absl::string_view bytes) override {
    LOCKSTEP_CHECK(offset == static_cast<int64_t>(written.size()));
    absl::StrAppend(&written, bytes);
    return absl::OkStatus();
  }
  absl::Status Truncate(int64_t) override { return absl::OkStatus(); }
  absl::Status Sync() override { return absl::OkStatus(); }
  absl::Status Close() override { return absl::OkStatus(); }

  std::string written;
};

template <typename T>
std::vector<T> SampleOf(const Column& column, int64_t index) {
  std::vector<T> sample(static_cast<size_t>(column.sample_bytes()) / sizeof(T));
  LOCKSTEP_CHECK(column.Read(index, reinterpret_cast<std::byte*>(sample.data())).ok());
  return sample;
}

// All samples, one after another.
template <typename T>
std::vector<T> ValuesOf(const Column& column) {
  std::vector<T> values;
  for (int64_t i = 0; i < column.count(); ++i) {
    const std::vector<T> sample = SampleOf<T>(column, i);
    values.insert(values.end(), sample.begin(), sample.end());
  }
  return values;
}

// `source` as a job file in `directory` has it under data.train.
inline absl::StatusOr<DataSourceSpec> SourceFrom(absl::string_view source,
                                                 absl::string_view directory) {
  absl::StatusOr<JobSpec> job =
      LoadJobSpec(absl::StrCat("model: {input_shape: [4], layers: [{dense: {units: 2}}]}\n"
                               "loss: mean_squared_error\noptimizer: adam\n"
                               "data:\n  train: ",
                               source, "\n"),
                  "job.yaml", directory);
  if (!job.ok()) return job.status();
  return job->data().train;
}

class DataFolder {
 public:
  explicit DataFolder(FileSystem& fs = PosixFileSystem())
      : cache_(fs, dir_.File("cache"), int64_t{1} << 30), environment_{&fs, &cache_} {}

  const std::string& path() const { return dir_.path(); }
  std::string File(absl::string_view name) const { return dir_.File(name); }

  void Write(absl::string_view name, absl::string_view bytes) {
    absl::StatusOr<std::unique_ptr<lockstep::File>> file =
        PosixFileSystem().Open(File(name), OpenMode::kTruncate);
    LOCKSTEP_CHECK(file.ok() && (*file)->Write(0, bytes).ok() && (*file)->Close().ok());
  }

  // The source of a job in this folder. The model wants the input x and the target y, unless
  // `names` says something else.
  absl::StatusOr<Dataset> Open(absl::string_view source,
                               const DataNames& names = {.inputs = {"x"}, .targets = {"y"}}) {
    absl::StatusOr<DataSourceSpec> spec = SourceFrom(source, path());
    if (!spec.ok()) return spec.status();
    return OpenDataset(*spec, names, environment_);
  }

 private:
  TempDir dir_;
  DataCache cache_;
  DataEnvironment environment_;
};

// Collects what is logged while it lives.
class LogLines {
 public:
  LogLines() {
    StartLog({.sink = [this](absl::string_view line) { lines_.emplace_back(line); }});
  }
  LogLines(const LogLines&) = delete;
  LogLines& operator=(const LogLines&) = delete;
  ~LogLines() { StartLog({}); }

  const std::vector<std::string>& lines() const { return lines_; }

 private:
  std::vector<std::string> lines_;
};

}  // namespace lockstep::testing

#endif  // LOCKSTEP_TESTS_COMMON_DATA_DATA_TESTING_H_
