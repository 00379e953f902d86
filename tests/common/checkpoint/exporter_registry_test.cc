#include "common/checkpoint/exporter_registry.h"

#include <cstdio>
#include <vector>

#include "common/checkpoint/model_hash.h"
#include "common/checkpoint/safetensors.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace lockstep {
namespace {

using ::testing::Contains;
using ::testing::ElementsAreArray;
using testing::FaultyFileSystem;
using ::testing::HasSubstr;
using ::testing::Pair;
using testing::StatusIs;
using testing::TempDir;

const std::vector<float>& Kernel() {
  static const std::vector<float>* const values =
      new std::vector<float>{1.5f, -2.0f, 3e-40f, 0.1f, 5.0f, -0.0f};
  return *values;
}

ExportedModel SmallModel() {
  static const std::vector<TensorView>* const variables = new std::vector<TensorView>{
      {"z/kernel", {2, 3}, Kernel()},  // the order of the hash is not the alphabet's
      {"a/\xC3\xA9 \"bias\"", {1}, absl::MakeConstSpan(Kernel()).first(1)},
      {"n/mean", {}, absl::MakeConstSpan(Kernel()).subspan(3, 1)}};
  return {.job_name = "a \"job\"",
          .model_sha256 = ModelSha256(*variables),
          .numerics_version = 3,
          .variables = *variables};
}

TEST(Exporters, AreFoundByNameAndNearNamesAreSaid) {
  ASSERT_OK_AND_ASSIGN(const ExporterDef* const exporter, FindExporter("safetensors"));
  EXPECT_EQ(exporter->file_name, "model.safetensors");
  EXPECT_THAT(FindExporter("safetensor"), StatusIs(absl::StatusCode::kInvalidArgument,
                                                   HasSubstr("did you mean 'safetensors'")));
}

TEST(SafetensorsExporter, WritesAllVariablesAndWhatTheyAre) {
  TempDir dir;
  FileSystem& fs = PosixFileSystem();

  ASSERT_OK(
      FindExporter("safetensors").value()->write(SmallModel(), fs, dir.File("m.safetensors")));

  ASSERT_OK_AND_ASSIGN(const SafetensorsFile file,
                       SafetensorsFile::Open(fs, dir.File("m.safetensors")));
  ASSERT_OK_AND_ASSIGN(const std::vector<TensorView> tensors, file.FloatViews());
  ASSERT_EQ(tensors.size(), 3);
  EXPECT_EQ(tensors[0].name, "z/kernel");
  EXPECT_EQ(tensors[0].shape, (Shape{2, 3}));
  EXPECT_THAT(tensors[0].values, ElementsAreArray(Kernel()));
  EXPECT_EQ(ModelSha256(tensors), SmallModel().model_sha256);
  EXPECT_THAT(file.metadata(), Contains(Pair("model_sha256", SmallModel().model_sha256)));
  EXPECT_THAT(file.metadata(), Contains(Pair("numerics_version", "3")));
  EXPECT_THAT(file.metadata(), Contains(Pair("job", "a \"job\"")));
}

TEST(SafetensorsExporter, KeepsTheOldFileWhenTheDiskIsFull) {
  TempDir dir;
  const std::string path = dir.File("m.safetensors");
  ASSERT_OK(ReplaceFileSynced(PosixFileSystem(), path, "old"));
  FaultyFileSystem fs;
  fs.FailAt(4, absl::ResourceExhaustedError("writing: no space left on device"));

  EXPECT_THAT(FindExporter("safetensors").value()->write(SmallModel(), fs, path),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("no space")));
  EXPECT_EQ(ReadFile(fs, path, 100).value(), "old");
  EXPECT_EQ(fs.List(dir.path())->size(), 1);
}

}  // namespace
}  // namespace lockstep
