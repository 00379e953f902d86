// NPZ as NumPy writes it and as a job uses it; headers are tested in npy_header_test.cc, damaged
// archives in npz_archive_test.cc.
#include "tests/common/data/npz_testing.h"

namespace lockstep {
namespace {

using testing::DataFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::NpyBytes;
using testing::StatusIs;
using testing::ValuesOf;
using testing::ZipBytes;

// Files that tests/golden/formats/make_formats.py has NumPy write.
absl::StatusOr<Dataset> OpenGolden(absl::string_view file, const std::vector<std::string>& arrays) {
  static DataFolder* const folder = new DataFolder;
  std::string inputs;
  for (const std::string& array : arrays) absl::StrAppend(&inputs, array, ": ", array, ", ");
  return folder->Open(absl::StrCat("{format: npz, path: ", LOCKSTEP_SOURCE_DIR,
                                   "/tests/golden/formats/npz/", file, ", inputs: {", inputs, "}}"),
                      {.inputs = arrays, .targets = {}});
}

// Element k of every array of types.npz is this, times `factor` and from `zero` on.
template <typename T>
std::vector<T> Formula(int64_t factor, int64_t zero) {
  std::vector<T> values;
  for (int64_t k = 0; k < 12; ++k) {
    const int64_t base = k * 37 % 101 - 50;
    values.push_back(std::is_floating_point_v<T> ? static_cast<T>(static_cast<double>(base) / 3.0)
                                                 : static_cast<T>((base + zero) * factor));
  }
  return values;
}

template <typename T>
void ExpectType(const std::string& code, kernels::SampleType type, int64_t factor, int64_t zero) {
  std::vector<std::string> arrays = {code};
  if (sizeof(T) > 1) arrays.push_back(code + "_swapped");
  ASSERT_OK_AND_ASSIGN(const Dataset dataset, OpenGolden("types.npz", arrays));
  for (const auto& column : dataset.inputs) {
    EXPECT_EQ(column->count(), 4);
    EXPECT_EQ(column->field(), (DataField{column->field().name, type, {3}}));
    EXPECT_EQ(ValuesOf<T>(*column), Formula<T>(factor, zero)) << column->field().name;
  }
}

TEST(Npz, ReadsWhatNumPyWritesInEveryTypeAndByteOrder) {
  ExpectType<uint8_t>("u1", kernels::SampleType::kU8, 1, 50);
  ExpectType<int8_t>("i1", kernels::SampleType::kI8, 1, 0);
  ExpectType<uint16_t>("u2", kernels::SampleType::kU16, 300, 50);
  ExpectType<int16_t>("i2", kernels::SampleType::kI16, 300, 0);
  ExpectType<int32_t>("i4", kernels::SampleType::kI32, 20'000'000, 0);
  ExpectType<int64_t>("i8", kernels::SampleType::kI64, 10'000'000'000'000'000, 0);
  ExpectType<float>("f4", kernels::SampleType::kF32, 1, 0);
  ExpectType<double>("f8", kernels::SampleType::kF64, 1, 0);
  ASSERT_OK_AND_ASSIGN(const Dataset truth, OpenGolden("types.npz", {"b1"}));
  EXPECT_THAT(ValuesOf<uint8_t>(*truth.inputs[0]),
              ElementsAre(0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 1));  // the odd ones of the formula
}

TEST(Npz, ReadsStoredAndDeflatedAlike) {
  for (const absl::string_view file : {"stored.npz", "deflated.npz"}) {
    ASSERT_OK_AND_ASSIGN(const Dataset dataset, OpenGolden(file, {"x", "y", "w"}));
    EXPECT_EQ(dataset.count, 6);
    EXPECT_EQ(dataset.inputs[0]->field().shape, (Shape{3}));
    EXPECT_EQ(dataset.inputs[1]->field().shape, Shape());
    EXPECT_THAT(ValuesOf<uint8_t>(*dataset.inputs[0]),
                ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17));
    EXPECT_THAT(ValuesOf<int64_t>(*dataset.inputs[1]), ElementsAre(9, 0, 0, 3, 0, 2));
    EXPECT_THAT(ValuesOf<float>(*dataset.inputs[2]), ElementsAre(0.5f, 1, 1.5f, 2, 2.5f, 3));
  }
}

TEST(Npz, RefusesWhatNumPyWritesOfOtherKinds) {
  const std::pair<std::string, std::string> kCases[] = {
      {"objects", "pickled objects are never read"},
      {"complex", "'<c8'"},
      {"half", "x.astype(np.float32)"},
      {"unsigned", "x.astype(np.int64)"},
      {"text", "'<U1'"},
      {"fields", "structured dtype"},
      {"columns", "np.ascontiguousarray"},
      {"number", "holds one number"},
      {"empty", "shape (0, 3) has no elements"}};
  for (const auto& [array, what] : kCases) {
    EXPECT_THAT(OpenGolden("refused.npz", {array}),
                StatusIs(absl::StatusCode::kFailedPrecondition,
                         ::testing::AllOf(HasSubstr("refused.npz': array '" + array + "': it"),
                                          HasSubstr(what))));
  }
}

TEST(Npz, InflatesEachArrayOncePerHost) {
  DataFolder folder;
  const std::string x = NpyBytes("'|u1'", "(3,)", "abc"), y = NpyBytes("'|u1'", "(3,)", "def");
  folder.Write("a.npz", ZipBytes({{"x.npy", x, 8}, {"y.npy", y, 8}}));
  constexpr absl::string_view kSource = "{format: npz, path: a.npz, inputs: x, targets: y}";

  for (int time = 0; time < 2; ++time) {
    ASSERT_OK_AND_ASSIGN(const Dataset dataset, folder.Open(kSource));
    EXPECT_THAT(ValuesOf<char>(*dataset.inputs[0]), ElementsAre('a', 'b', 'c'));
    EXPECT_THAT(ValuesOf<char>(*dataset.targets[0]), ElementsAre('d', 'e', 'f'));
    EXPECT_THAT(PosixFileSystem().List(folder.File("cache")).value(), ::testing::SizeIs(4))
        << "two copies and their locks";
  }
}

TEST(Npz, SaysWhichArraysThereAre) {
  DataFolder folder;
  const std::string x = NpyBytes("'|u1'", "(3,)", "abc");
  folder.Write("a.npz", ZipBytes({{"x_train.npy", x}, {"y_train.npy", x}}));

  EXPECT_OK(folder.Open("{format: npz, path: a.npz, inputs: x_train, targets: y_train}"));
  EXPECT_THAT(folder.Open("{format: npz, path: a.npz, inputs: x_trian, targets: y_train}"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("job.yaml:5:45: data.train.inputs: no array 'x_trian' in '" +
                                 folder.File("a.npz") + "'; did you mean 'x_train' or")));
  EXPECT_THAT(folder.Open("{format: npz, path: a.npz, inputs: x_train, targets: labels}"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("data.train.targets: no array 'labels'")));
}

TEST(Npz, NamesTheFileThatIsNone) {
  DataFolder folder;
  constexpr absl::string_view kSource = "{format: npz, path: a.npz, inputs: x, targets: y}";
  EXPECT_THAT(folder.Open(kSource), StatusIs(absl::StatusCode::kNotFound, HasSubstr("a.npz'")));
  folder.Write("a.npz", "hello");
  EXPECT_THAT(folder.Open(kSource), StatusIs(absl::StatusCode::kFailedPrecondition,
                                             "data.train: npz '" + folder.File("a.npz") +
                                                 "': it is no zip archive; save it with np.savez"));
}

}  // namespace
}  // namespace lockstep
