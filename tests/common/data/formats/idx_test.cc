// IDX as a job uses it; headers are tested in idx_header_test.cc.
#include "tests/common/data/data_testing.h"

namespace lockstep {
namespace {

using testing::BytesOf;
using testing::DataFolder;
using ::testing::ElementsAre;
using testing::GzipBytes;
using ::testing::HasSubstr;
using testing::IdxBytes;
using testing::SampleOf;
using testing::StatusIs;
using testing::ValuesOf;

constexpr absl::string_view kSource = "{format: idx, inputs: x, targets: y}";

auto Damaged(const std::string& what) {
  return StatusIs(absl::StatusCode::kDataLoss, HasSubstr(what));
}

// Opens x with labels of three samples.
absl::StatusOr<Dataset> OpenWith(DataFolder& folder, absl::string_view x) {
  folder.Write("x", x);
  folder.Write("y", IdxBytes(8, {3}, "\1\2\3"));
  return folder.Open(kSource);
}

TEST(Idx, ReadsImagesAndLabels) {
  DataFolder folder;
  ASSERT_OK_AND_ASSIGN(const Dataset dataset, OpenWith(folder, IdxBytes(8, {3, 1, 2}, "abcdef")));

  EXPECT_EQ(dataset.count, 3);
  EXPECT_EQ(dataset.inputs[0]->field(), (DataField{"x", kernels::SampleType::kU8, {1, 2}}));
  EXPECT_EQ(dataset.targets[0]->field(), (DataField{"y", kernels::SampleType::kU8, {}}));
  EXPECT_THAT(SampleOf<char>(*dataset.inputs[0], 2), ElementsAre('e', 'f'));
  EXPECT_THAT(ValuesOf<uint8_t>(*dataset.targets[0]), ElementsAre(1, 2, 3));
  EXPECT_EQ(dataset.weights, nullptr);
}

TEST(Idx, TakesExactlyTheBytesOfItsHeader) {
  DataFolder folder;
  EXPECT_OK(OpenWith(folder, IdxBytes(8, {3}, "abc")));
  EXPECT_THAT(OpenWith(folder, IdxBytes(8, {3}, "ab")),
              Damaged("data.train: idx '" + folder.File("x") +
                      "': it has 10 bytes; u8 (3,) after a header of 8 makes 11; copy it again"));
  EXPECT_THAT(OpenWith(folder, IdxBytes(8, {3}, "abcd")), Damaged("it has 12 bytes"));
}

TEST(Idx, ReadsGzipBitForBitWhateverTheFileIsCalled) {
  DataFolder folder;
  std::string pixels;
  for (int i = 0; i < 3 * 500; ++i) pixels.push_back(static_cast<char>(i * i));
  const std::string plain = IdxBytes(0x0B, {3, 250}, pixels);
  folder.Write("y", IdxBytes(8, {3}, "\1\2\3"));
  folder.Write("x.gz", plain);
  folder.Write("x", GzipBytes(plain));
  folder.Write("x.idx", GzipBytes(plain.substr(0, 9)) + GzipBytes(plain.substr(9)));

  ASSERT_OK_AND_ASSIGN(const Dataset a, folder.Open("{format: idx, inputs: x.gz, targets: y}"));
  ASSERT_OK_AND_ASSIGN(const Dataset b, folder.Open("{format: idx, inputs: x, targets: y}"));
  ASSERT_OK_AND_ASSIGN(const Dataset c, folder.Open("{format: idx, inputs: x.idx, targets: y}"));

  for (const Dataset* other : {&b, &c}) {
    EXPECT_EQ(other->signature(), a.signature());
    EXPECT_EQ(ValuesOf<int16_t>(*other->inputs[0]), ValuesOf<int16_t>(*a.inputs[0]));
  }
}

TEST(Idx, RefusesGzipWithMoreOrFewerBytesThanItsHeaderPromises) {
  DataFolder folder;
  const auto open = [&folder](const std::string& gzip) { return OpenWith(folder, gzip); };
  EXPECT_OK(open(GzipBytes(IdxBytes(8, {3}, "abc"))));
  EXPECT_THAT(
      open(GzipBytes(IdxBytes(8, {3}, "ab"))),
      Damaged("idx '" + folder.File("x") + "': it holds 10 bytes where its header promises 11"));
  EXPECT_THAT(open(GzipBytes(IdxBytes(8, {3}, "abcd"))), Damaged("more than the 11 bytes"));
  EXPECT_THAT(open(GzipBytes(IdxBytes(8, {3}, "abc")) + "x"), Damaged("1 bytes follow the end"));
  EXPECT_THAT(open(GzipBytes(IdxBytes(8, {3}, "")).substr(0, 12)), Damaged("cut off"));
  EXPECT_THAT(open(GzipBytes("")), Damaged("ends after 0 bytes, inside the header"));
}

TEST(Idx, RefusesAPromiseThatNoGzipFileCanKeep) {
  DataFolder folder;
  EXPECT_THAT(OpenWith(folder, GzipBytes(IdxBytes(8, {3, 1u << 31, 1u << 29}, "abc"))),
              Damaged("promises 3458764513820540944 bytes, more than"));
}

TEST(Idx, ReadsFloatWeights) {
  DataFolder folder;
  const std::string one = {'\x3F', '\x80', 0, 0}, two = {'\x40', 0, 0, 0};
  folder.Write("x", IdxBytes(8, {2}, "ab"));
  folder.Write("w", IdxBytes(0x0D, {2}, one + two));

  ASSERT_OK_AND_ASSIGN(const Dataset dataset,
                       folder.Open("{format: idx, inputs: x, targets: x, sample_weights: w}"));

  EXPECT_THAT(ValuesOf<float>(*dataset.weights), ElementsAre(1.0f, 2.0f));
}

TEST(Idx, NamesTheFileThatIsMissing) {
  DataFolder folder;
  EXPECT_THAT(folder.Open(kSource),
              StatusIs(absl::StatusCode::kNotFound,
                       "data.train: examining '" + folder.File("x") +
                           "': No such file or directory; give a file that this host can read"));
  folder.Write("x", "");
  EXPECT_THAT(folder.Open(kSource), Damaged("'" + folder.File("x") + "' is empty"));
}

}  // namespace
}  // namespace lockstep
