// What every format of the room common/data/formats must do, whatever it is. A format brings
// examples: tests/golden/formats/<format>/<example>.yaml, the data source of a job, beside its
// small data files.
#include <filesystem>
#include <fstream>
#include <iterator>

#include "common/base/status_macros.h"
#include "common/base/thread.h"
#include "common/data/format_registry.h"
#include "common/data/manifest.h"
#include "tests/common/data/data_testing.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

using ::testing::AnyOf;
using ::testing::HasSubstr;
using testing::LogLines;
using testing::SourceFrom;
using testing::StatusIs;
using testing::TempDir;

const fs::path& GoldenFolder() {
  static const auto* const path = new fs::path(LOCKSTEP_SOURCE_DIR "/tests/golden/formats");
  return *path;
}

std::string ReadText(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void WriteText(const fs::path& path, absl::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

// "idx/plain"
std::vector<std::string> ExampleNames() {
  std::vector<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(GoldenFolder())) {
    if (entry.path().extension() != ".yaml") continue;
    names.push_back(entry.path().lexically_relative(GoldenFolder()).replace_extension());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// The names that the source gives its columns; `one` where it gives none.
std::vector<std::string> NamesIn(const Value* columns, const std::string& one) {
  if (columns == nullptr) return {};
  if (!columns->is_map()) return {one};
  std::vector<std::string> names;
  for (const Value::Entry& entry : columns->map()) names.push_back(entry.key);
  return names;
}

// The strings in `value` that are files.
void FindFiles(const Value& value, std::vector<std::string>& files) {
  if (value.is_string() && fs::is_regular_file(value.string())) files.push_back(value.string());
  if (!value.is_map()) return;
  for (const Value::Entry& entry : value.map()) FindFiles(entry.value, files);
}

// All samples of all columns, the columns one after another, read in this order.
absl::StatusOr<std::string> ReadSamples(const Dataset& dataset, const std::vector<int64_t>& order) {
  std::vector<const Column*> columns;
  for (const auto& column : dataset.inputs) columns.push_back(column.get());
  for (const auto& column : dataset.targets) columns.push_back(column.get());
  if (dataset.weights != nullptr) columns.push_back(dataset.weights.get());
  std::string all;
  for (const Column* column : columns) {
    const size_t start = all.size();
    all.resize(start + static_cast<size_t>(column->sample_bytes() * dataset.count));
    for (const int64_t index : order) {
      char* const out = all.data() + start + index * column->sample_bytes();
      LOCKSTEP_RETURN_IF_ERROR(column->Read(index, reinterpret_cast<std::byte*>(out)));
    }
  }
  return all;
}

std::vector<int64_t> Forwards(int64_t count) {
  std::vector<int64_t> order;
  for (int64_t i = 0; i < count; ++i) order.push_back(i);
  return order;
}

// A copy of the example's folder, so that its files may be damaged. Nothing is cached: thousands of
// copies of damaged files would be.
class FormatConformance : public ::testing::TestWithParam<std::string> {
 protected:
  FormatConformance()
      : cache_(PosixFileSystem(), "", 0), environment_{&PosixFileSystem(), &cache_} {
    const fs::path yaml = GoldenFolder() / (GetParam() + ".yaml");
    fs::copy(yaml.parent_path(), dir_.path());
    source_ = SourceFrom(ReadText(yaml), dir_.path()).value();
    names_ = {.inputs = NamesIn(source_.options.Find("inputs"), "x"),
              .targets = NamesIn(source_.options.Find("targets"), "y")};
    FindFiles(source_.options, files_);
  }

  absl::StatusOr<Dataset> Open() { return OpenDataset(source_, names_, environment_); }

  // OK only if every sample could be read.
  absl::Status OpenAndRead() {
    LOCKSTEP_ASSIGN_OR_RETURN(const Dataset dataset, Open());
    return ReadSamples(dataset, Forwards(dataset.count)).status();
  }

  LogLines log_;
  TempDir dir_;
  DataCache cache_;
  DataEnvironment environment_;
  DataSourceSpec source_;
  DataNames names_;
  std::vector<std::string> files_;
};

TEST_P(FormatConformance, RandomAccessEqualsSequential) {
  ASSERT_OK_AND_ASSIGN(const Dataset dataset, Open());
  std::vector<int64_t> mixed;
  for (int64_t i = 0; i < dataset.count; ++i) {
    mixed.push_back(i % 2 == 0 ? dataset.count - 1 - i / 2 : i / 2);
  }
  mixed.push_back(mixed.front());  // and one that is read twice

  ASSERT_OK_AND_ASSIGN(const std::string sequential, ReadSamples(dataset, Forwards(dataset.count)));
  ASSERT_OK_AND_ASSIGN(const Dataset again, Open());

  EXPECT_GE(dataset.count, 4);
  EXPECT_EQ(ReadSamples(dataset, mixed).value(), sequential);
  EXPECT_EQ(ReadSamples(again, mixed).value(), sequential);
}

TEST_P(FormatConformance, GivesTheColumnsInTheOrderWanted) {
  std::reverse(names_.inputs.begin(), names_.inputs.end());
  ASSERT_OK_AND_ASSIGN(const Dataset dataset, Open());
  ASSERT_EQ(dataset.inputs.size(), names_.inputs.size());
  for (size_t i = 0; i < names_.inputs.size(); ++i) {
    EXPECT_EQ(dataset.inputs[i]->field().name, names_.inputs[i]);
    EXPECT_EQ(dataset.inputs[i]->count(), dataset.count);
  }
}

TEST_P(FormatConformance, ManyThreadsReadAtOnce) {
  ASSERT_OK_AND_ASSIGN(const Dataset dataset, Open());
  const std::string expected = ReadSamples(dataset, Forwards(dataset.count)).value();
  std::vector<std::string> read(4);
  std::vector<Thread> threads;
  for (std::string& mine : read) {
    threads.emplace_back("reader", [&] {
      mine = ReadSamples(dataset, Forwards(dataset.count)).value_or("an error");
    });
  }
  threads.clear();  // joins them
  EXPECT_THAT(read, ::testing::Each(expected));
}

TEST_P(FormatConformance, StaysReadableWhenItsFilesAreReplaced) {
  ASSERT_OK_AND_ASSIGN(const Dataset dataset, Open());
  const std::string before = ReadSamples(dataset, Forwards(dataset.count)).value();
  for (const std::string& file : files_) fs::remove(file);
  EXPECT_EQ(ReadSamples(dataset, Forwards(dataset.count)).value(), before);
}

TEST_P(FormatConformance, NamesAFileThatIsMissing) {
  for (const std::string& file : files_) {
    const std::string bytes = ReadText(file);
    fs::remove(file);
    EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kNotFound, HasSubstr(file)));
    WriteText(file, bytes);
  }
  EXPECT_OK(Open());
}

TEST_P(FormatConformance, RefusesEveryTruncation) {
  for (const std::string& file : files_) {
    const std::string bytes = ReadText(file);
    for (size_t size = bytes.size(); size-- > 0;) {
      fs::resize_file(file, size);
      const absl::Status status = OpenAndRead();
      EXPECT_THAT(status.code(),
                  AnyOf(absl::StatusCode::kDataLoss, absl::StatusCode::kFailedPrecondition))
          << file << " of " << size << " bytes: " << status;
      EXPECT_THAT(std::string(status.message()), HasSubstr(file));
    }
    WriteText(file, bytes);
  }
  EXPECT_OK(OpenAndRead());
}

// A flipped bit may be an error or another value, never a crash or a bug of ours.
TEST_P(FormatConformance, SurvivesEveryFlippedBit) {
  for (const std::string& path : files_) {
    const std::string bytes = ReadText(path);
    ASSERT_OK_AND_ASSIGN(const std::unique_ptr<File> file,
                         PosixFileSystem().Open(path, OpenMode::kUpdate));
    for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
      const int64_t at = static_cast<int64_t>(bit / 8);
      const char flipped = static_cast<char>(bytes[bit / 8] ^ 1 << bit % 8);
      ASSERT_OK(file->Write(at, absl::string_view(&flipped, 1)));
      const absl::Status status = OpenAndRead();
      EXPECT_THAT(status.code(),
                  AnyOf(absl::StatusCode::kOk, absl::StatusCode::kDataLoss,
                        absl::StatusCode::kFailedPrecondition, absl::StatusCode::kInvalidArgument))
          << path << " bit " << bit << ": " << status;
      ASSERT_OK(file->Write(at, absl::string_view(&bytes[bit / 8], 1)));
    }
  }
  EXPECT_OK(OpenAndRead());
}

INSTANTIATE_TEST_SUITE_P(Formats, FormatConformance, ::testing::ValuesIn(ExampleNames()),
                         [](const auto& example) {
                           std::string name = example.param;
                           std::replace(name.begin(), name.end(), '/', 'X');
                           return name;
                         });

TEST(FormatRegistry, HasAnExampleForEveryFormatAndNoOther) {
  std::vector<std::string> folders;
  for (const std::string& name : ExampleNames()) {
    folders.push_back(name.substr(0, name.find('/')));
  }
  folders.erase(std::unique(folders.begin(), folders.end()), folders.end());
  std::vector<std::string> formats;
  for (const DatasetFormatDef* format : DatasetFormats()) formats.emplace_back(format->name);
  EXPECT_EQ(folders, formats);
  EXPECT_TRUE(std::is_sorted(formats.begin(), formats.end()));
}

TEST(FormatRegistry, SaysTheNearNames) {
  Node node;
  node.where = "data.train";
  node.type = "npy";
  EXPECT_THAT(FindDatasetFormat(node),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "data.train: unknown format 'npy'; did you mean 'npz'?"));
}

}  // namespace
}  // namespace lockstep
