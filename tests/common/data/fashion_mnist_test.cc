// The data set of the first example, as Debian's package dataset-fashion-mnist has it.
#include "common/data/manifest.h"
#include "tests/common/data/data_testing.h"

namespace lockstep {
namespace {

using testing::DataFolder;
using ::testing::ElementsAre;
using testing::SampleOf;

TEST(FashionMnist, IsSixtyThousandImagesOfTenKinds) {
  constexpr absl::string_view kFolder = "/usr/share/datasets/fashion-mnist/";
  if (!*PosixFileSystem().Exists(std::string(kFolder))) {
    GTEST_SKIP() << "the package dataset-fashion-mnist is not installed";
  }
  DataFolder folder;

  ASSERT_OK_AND_ASSIGN(const Dataset dataset,
                       folder.Open(absl::StrCat("{format: idx, inputs: ", kFolder,
                                                "train-images-idx3-ubyte.gz, targets: ", kFolder,
                                                "train-labels-idx1-ubyte.gz}")));
  ASSERT_OK_AND_ASSIGN(const Manifest manifest, MakeManifest(dataset));

  EXPECT_EQ(manifest.count, 60000);
  EXPECT_EQ(manifest.inputs.at(0).field, (DataField{"x", kernels::SampleType::kU8, {28, 28}}));
  EXPECT_EQ(manifest.targets.at(0).field, (DataField{"y", kernels::SampleType::kU8, {}}));
  EXPECT_EQ(manifest.targets[0].min, 0);
  EXPECT_EQ(manifest.targets[0].max, 9);
  EXPECT_EQ(manifest.targets[0].min_sample, 1);
  EXPECT_EQ(manifest.targets[0].max_sample, 0);
  std::vector<int> labels;
  for (int i = 0; i < 10; ++i) labels.push_back(SampleOf<uint8_t>(*dataset.targets[0], i)[0]);
  EXPECT_THAT(labels, ElementsAre(9, 0, 0, 3, 0, 2, 7, 2, 5, 5));
  // zcat train-images-idx3-ubyte.gz | tail -c +17 | xxhsum -H2
  EXPECT_EQ(ToHex(manifest.inputs[0].hash), "88873690894f7298c11b6543ae1530f3");
}

}  // namespace
}  // namespace lockstep
