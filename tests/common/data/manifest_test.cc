#include "common/data/manifest.h"

#include <limits>

#include "tests/common/data/data_testing.h"

namespace lockstep {
namespace {

using testing::BytesOf;
using ::testing::HasSubstr;
using testing::StatusIs;

// Samples in memory, read one by one; those from `bad_from` on cannot be.
class ListColumn final : public Column {
 public:
  ListColumn(DataField field, std::string bytes,
             int64_t bad_from = std::numeric_limits<int64_t>::max())
      : Column(field, CountOf(field, bytes)), bytes_(std::move(bytes)), bad_from_(bad_from) {}

  absl::Status Read(int64_t index, std::byte* out) const override {
    if (index >= bad_from_) return absl::DataLossError(absl::StrCat("sample ", index));
    std::memcpy(out, bytes_.data() + index * sample_bytes(), static_cast<size_t>(sample_bytes()));
    return absl::OkStatus();
  }

 private:
  static int64_t CountOf(const DataField& field, const std::string& bytes) {
    const int64_t sample_bytes = field.shape.elements() * kernels::SampleTypeBytes(field.type);
    return static_cast<int64_t>(bytes.size()) / sample_bytes;
  }

  const std::string bytes_;
  const int64_t bad_from_;
};

Dataset DatasetOf(std::unique_ptr<Column> x, std::unique_ptr<Column> y) {
  Dataset dataset;
  dataset.count = x->count();
  dataset.inputs.push_back(std::move(x));
  dataset.targets.push_back(std::move(y));
  return dataset;
}

template <typename T>
ColumnManifest ManifestOf(kernels::SampleType type, const std::vector<T>& values,
                          const Shape& shape = {}) {
  Dataset dataset;
  dataset.inputs.push_back(
      std::make_unique<ListColumn>(DataField{"x", type, shape}, BytesOf(values)));
  dataset.count = dataset.inputs[0]->count();
  return MakeManifest(dataset)->inputs.at(0);
}

Dataset SmallDataset(absl::string_view x = "abcdefghijkl") {
  return DatasetOf(std::make_unique<ListColumn>(DataField{"x", kernels::SampleType::kU8, {2, 3}},
                                                std::string(x)),
                   std::make_unique<ListColumn>(DataField{"y", kernels::SampleType::kI32, {}},
                                                BytesOf<int32_t>({7, -7})));
}

TEST(Manifest, SaysWhatTheColumnsAre) {
  ASSERT_OK_AND_ASSIGN(const Manifest manifest, MakeManifest(SmallDataset()));

  EXPECT_EQ(manifest.count, 2);
  EXPECT_EQ(manifest.inputs.at(0).field, (DataField{"x", kernels::SampleType::kU8, {2, 3}}));
  EXPECT_EQ(manifest.inputs.at(0).hash, FingerprintOf128("abcdefghijkl"));
  EXPECT_EQ(manifest.inputs.at(0).min, std::nullopt);
  EXPECT_EQ(manifest.targets.at(0).hash, FingerprintOf128(BytesOf<int32_t>({7, -7})));
  EXPECT_EQ(manifest.weights, std::nullopt);
}

TEST(Manifest, HashesSamplesOfAnySizeAcrossItsPieces) {
  for (const int64_t elements : {1, 3, 1000, 131072, 131073, 300000}) {  // pieces are of 131072
    const std::vector<uint8_t> values(static_cast<size_t>(elements * 400'000 / (elements + 1)), 7);
    const size_t samples = values.size() / static_cast<size_t>(elements);
    const std::vector<uint8_t> whole(samples * static_cast<size_t>(elements), 7);
    EXPECT_EQ(ManifestOf(kernels::SampleType::kU8, whole, {elements}).hash,
              FingerprintOf128(BytesOf(whole)))
        << elements;
  }
}

template <typename T>
void ExpectRange(kernels::SampleType type) {
  using Limits = std::numeric_limits<T>;
  const ColumnManifest manifest =
      ManifestOf<T>(type, {1, Limits::max(), Limits::min(), Limits::max(), Limits::min()});
  EXPECT_EQ(manifest.min, Limits::min());
  EXPECT_EQ(manifest.max, Limits::max());
  EXPECT_EQ(manifest.min_sample, 2);  // the first of two
  EXPECT_EQ(manifest.max_sample, 1);
}

TEST(Manifest, FindsTheRangeOfEveryTypeOfInteger) {
  ExpectRange<uint8_t>(kernels::SampleType::kU8);
  ExpectRange<int8_t>(kernels::SampleType::kI8);
  ExpectRange<uint16_t>(kernels::SampleType::kU16);
  ExpectRange<int16_t>(kernels::SampleType::kI16);
  ExpectRange<int32_t>(kernels::SampleType::kI32);
  ExpectRange<int64_t>(kernels::SampleType::kI64);
}

TEST(Manifest, FindsTheRangeAcrossItsPieces) {
  std::vector<int64_t> values(100'000, 5);  // 16,384 a piece
  values[70'000] = -1;
  values[90'000] = 9;
  values[99'999] = 9;

  const ColumnManifest manifest = ManifestOf(kernels::SampleType::kI64, values);

  EXPECT_EQ(manifest.min, -1);
  EXPECT_EQ(manifest.min_sample, 70'000);
  EXPECT_EQ(manifest.max, 9);
  EXPECT_EQ(manifest.max_sample, 90'000);
}

TEST(Manifest, HasARangeOnlyForOneIntegerASample) {
  EXPECT_TRUE(ManifestOf<uint8_t>(kernels::SampleType::kU8, {1, 2}, {1, 1}).min.has_value());
  EXPECT_FALSE(ManifestOf<uint8_t>(kernels::SampleType::kU8, {1, 2}, {2}).min.has_value());
  EXPECT_FALSE(ManifestOf<float>(kernels::SampleType::kF32, {1, 2}).min.has_value());
  EXPECT_FALSE(ManifestOf<double>(kernels::SampleType::kF64, {1, 2}).max.has_value());
}

TEST(Manifest, ContentHashIsOfTheValuesNotOfTheirNames) {
  Dataset renamed = SmallDataset();
  renamed.inputs[0] = std::make_unique<ListColumn>(
      DataField{"image", kernels::SampleType::kU8, {2, 3}}, "abcdefghijkl");

  const std::string hash = MakeManifest(SmallDataset())->ContentHash();

  EXPECT_EQ(hash.size(), 32);
  EXPECT_EQ(MakeManifest(renamed)->ContentHash(), hash);
  EXPECT_NE(MakeManifest(SmallDataset("abcdefghijkm"))->ContentHash(), hash);
}

TEST(Manifest, ContentHashTellsShapesTypesAndPlacesApart) {
  const auto column = [](kernels::SampleType type, const Shape& shape) {
    return std::make_unique<ListColumn>(DataField{"x", type, shape}, "abcdefgh");
  };
  using kernels::SampleType;
  Dataset weighted = DatasetOf(column(SampleType::kU8, {4}), column(SampleType::kF32, {}));
  weighted.weights = std::move(weighted.targets[0]);
  weighted.targets.clear();
  Dataset two_inputs = DatasetOf(column(SampleType::kU8, {4}), column(SampleType::kF32, {}));
  two_inputs.inputs.push_back(std::move(two_inputs.targets[0]));
  two_inputs.targets.clear();
  std::vector<std::string> hashes;
  for (const Dataset& dataset :
       {DatasetOf(column(SampleType::kU8, {4}), column(SampleType::kF32, {})),
        DatasetOf(column(SampleType::kI8, {4}), column(SampleType::kF32, {})),
        DatasetOf(column(SampleType::kU8, {2, 2}), column(SampleType::kF32, {})),
        DatasetOf(column(SampleType::kU8, {4}), column(SampleType::kF32, {1})),
        DatasetOf(column(SampleType::kU8, {8}), column(SampleType::kF64, {}))}) {
    hashes.push_back(MakeManifest(dataset)->ContentHash());
  }
  hashes.push_back(MakeManifest(weighted)->ContentHash());
  hashes.push_back(MakeManifest(two_inputs)->ContentHash());

  std::sort(hashes.begin(), hashes.end());
  EXPECT_EQ(std::unique(hashes.begin(), hashes.end()), hashes.end());
}

// Checkpoints keep it: it must never change. Python's xxhash 4.1.0 gives the same for the text
// "count 2\ninput u8 [2, 3] <xxh3_128 of x>\ntarget i32 [] <xxh3_128 of y>\n".
TEST(Manifest, ContentHashStays) {
  EXPECT_EQ(MakeManifest(SmallDataset())->ContentHash(), "5665d4b8367c576ba6001996887adc14");
}

TEST(Manifest, ReturnsTheErrorOfASample) {
  const Dataset dataset =
      DatasetOf(std::make_unique<ListColumn>(DataField{"x", kernels::SampleType::kU8, {}}, "abc"),
                std::make_unique<ListColumn>(DataField{"y", kernels::SampleType::kU8, {}}, "abc",
                                             /*bad_from=*/2));
  EXPECT_THAT(MakeManifest(dataset), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("sample 2")));
}

}  // namespace
}  // namespace lockstep
