#include "worker/report/picture_file.h"

#include <png.h>

#include <numeric>

#include "gmock/gmock.h"

#include "common/env/clock.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "worker/report/run_reporter.h"

namespace lockstep {
namespace {

using ::lockstep::testing::FaultyFileSystem;
using ::lockstep::testing::StatusIs;
using ::lockstep::testing::TempDir;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr int64_t kBytesMax = 1 << 20;

// Two rows of three pictures; bytes count on.
PicturesReport Pictures(const Shape& picture, int64_t epoch = 1) {
  PicturesReport pictures{.epoch = epoch, .sheet = {.picture = picture, .rows = 2, .columns = 3}};
  pictures.bytes.resize(static_cast<size_t>(6 * picture.elements()));
  std::iota(pictures.bytes.begin(), pictures.bytes.end(), uint8_t{1});
  return pictures;
}

// By libpng's reader.
Image Decode(const std::string& file) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  EXPECT_NE(png_image_begin_read_from_memory(&png, file.data(), file.size()), 0) << png.message;
  EXPECT_EQ(png.format & PNG_FORMAT_FLAG_LINEAR, 0u);
  Image image{.height = png.height,
              .width = png.width,
              .channels = static_cast<int64_t>(PNG_IMAGE_PIXEL_CHANNELS(png.format))};
  image.bytes.resize(PNG_IMAGE_SIZE(png));
  EXPECT_NE(png_image_finish_read(&png, nullptr, image.bytes.data(), 0, nullptr), 0);
  return image;
}

TEST(ArrangePictures, StandInAGridOnePixelApart) {
  const Image image = ArrangePictures(Pictures(Shape{2, 1}));

  EXPECT_EQ(image.height, 5);
  EXPECT_EQ(image.width, 5);
  EXPECT_EQ(image.channels, 1);
  EXPECT_THAT(image.bytes, ElementsAre(1, 0, 3, 0, 5,   //
                                       2, 0, 4, 0, 6,   //
                                       0, 0, 0, 0, 0,   //
                                       7, 0, 9, 0, 11,  //
                                       8, 0, 10, 0, 12));
}

TEST(ArrangePictures, KeepColoursTogether) {
  const Image image = ArrangePictures(Pictures(Shape{1, 1, 3}));

  EXPECT_EQ(image.channels, 3);
  EXPECT_THAT(std::vector<uint8_t>(image.bytes.begin(), image.bytes.begin() + 15),
              ElementsAre(1, 2, 3, 0, 0, 0, 4, 5, 6, 0, 0, 0, 7, 8, 9));
}

TEST(EncodePng, IsReadBackByteForByte) {
  for (const Shape& shape : {Shape{28, 28}, Shape{5, 7, 1}, Shape{4, 3, 3}}) {
    const Image image = ArrangePictures(Pictures(shape));
    ASSERT_OK_AND_ASSIGN(const std::string file, EncodePng(image));
    const Image read = Decode(file);
    EXPECT_EQ(read.height, image.height);
    EXPECT_EQ(read.width, image.width);
    EXPECT_EQ(read.channels, image.channels);
    EXPECT_EQ(read.bytes, image.bytes);
  }
}

TEST(WritePictures, ReplacesTheFileOfItsEpoch) {
  const TempDir dir;
  const std::string directory = dir.File("samples");
  ASSERT_OK(WritePictures(PosixFileSystem(), directory, Pictures(Shape{3, 3}, 7)));
  ASSERT_OK(WritePictures(PosixFileSystem(), directory, Pictures(Shape{2, 2}, 7)));

  ASSERT_OK_AND_ASSIGN(const std::vector<DirectoryEntry> entries,
                       PosixFileSystem().List(directory));
  ASSERT_THAT(entries, SizeIs(1));
  EXPECT_EQ(entries[0].name, "epoch-0007.png");
  ASSERT_OK_AND_ASSIGN(const std::string file,
                       ReadFile(PosixFileSystem(), directory + "/epoch-0007.png", kBytesMax));
  EXPECT_EQ(Decode(file).width, 8);
}

// Whatever fails, the old file or none stays, and no other one.
TEST(WritePictures, LeavesNothingHalfDone) {
  for (int call = 1; call < 20; ++call) {
    const TempDir dir;
    const std::string directory = dir.File("samples");
    FaultyFileSystem disk;
    disk.FailAt(call, absl::ResourceExhaustedError("disk full"));
    const absl::Status status = WritePictures(disk, directory, Pictures(Shape{3, 3}));
    if (disk.calls() < call) {
      EXPECT_OK(status);
      return;
    }
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("disk full")))
        << call;
    const absl::StatusOr<std::vector<DirectoryEntry>> entries = PosixFileSystem().List(directory);
    for (const DirectoryEntry& entry : entries.ok() ? *entries : std::vector<DirectoryEntry>{}) {
      EXPECT_EQ(entry.name, "epoch-0001.png") << call;
    }
  }
  FAIL() << "writes without end";
}

class ReportedPictures : public ::testing::Test {
 protected:
  std::unique_ptr<RunReporter> Make(FileSystem& fs) {
    return std::make_unique<RunReporter>(
        RunReporter::Parts{.fs = &fs,
                           .clock = &RealClock(),
                           .metrics_path = dir_.File("metrics.jsonl"),
                           .pictures_directory = dir_.File("samples")});
  }
  const TempDir dir_;
};

TEST_F(ReportedPictures, AreOnDiskBeforeACheckpointIsPublished) {
  const std::unique_ptr<RunReporter> reporter = Make(PosixFileSystem());
  reporter->OnStart({.metric_names = {"loss"}, .total_steps = 9});
  reporter->OnPictures(Pictures(Shape{4, 4}, 3));

  ASSERT_OK(reporter->MakeDurable());

  EXPECT_OK(PosixFileSystem().Stat(dir_.File("samples/epoch-0003.png")).status());
}

// A file stands where the directory should be.
TEST_F(ReportedPictures, ThatCannotBeWrittenEndNothing) {
  ASSERT_OK(ReplaceFileSynced(PosixFileSystem(), dir_.File("samples"), "in the way"));
  const std::unique_ptr<RunReporter> reporter = Make(PosixFileSystem());
  reporter->OnStart({.metric_names = {"loss"}, .total_steps = 9});
  reporter->OnPictures(Pictures(Shape{4, 4}));

  EXPECT_OK(reporter->MakeDurable());
  EXPECT_OK(reporter->Finish());
}

}  // namespace
}  // namespace lockstep
