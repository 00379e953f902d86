#include "worker/report/picture_file.h"

#include <png.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace lockstep {
namespace {

constexpr int64_t kGap = 1;  // pixels

}  // namespace

Image ArrangePictures(const PicturesReport& pictures) {
  const Shape& picture = pictures.sheet.picture;
  const int64_t height = picture.dim(0), width = picture.dim(1);
  const int64_t channels = picture.ndim() == 3 ? picture.dim(2) : 1;
  const int64_t rows = pictures.sheet.rows, columns = pictures.sheet.columns;
  LOCKSTEP_CHECK(std::ssize(pictures.bytes) == rows * columns * picture.elements());
  Image image{.height = rows * (height + kGap) - kGap,
              .width = columns * (width + kGap) - kGap,
              .channels = channels};
  image.bytes.assign(static_cast<size_t>(image.height * image.width * channels), 0);
  const uint8_t* from = pictures.bytes.data();
  for (int64_t p = 0; p < rows * columns; ++p) {
    const int64_t top = p / columns * (height + kGap), left = p % columns * (width + kGap);
    for (int64_t y = 0; y < height; ++y) {
      std::copy_n(from, width * channels,
                  image.bytes.begin() + ((top + y) * image.width + left) * channels);
      from += width * channels;
    }
  }
  return image;
}

absl::StatusOr<std::string> EncodePng(const Image& image) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.width = static_cast<png_uint_32>(image.width);
  png.height = static_cast<png_uint_32>(image.height);
  png.format = image.channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
  std::string file(PNG_IMAGE_PNG_SIZE_MAX(png), '\0');
  png_alloc_size_t size = file.size();
  if (png_image_write_to_memory(&png, file.data(), &size, /*convert_to_8_bit=*/0,
                                image.bytes.data(), /*row_stride=*/0, /*colormap=*/nullptr) == 0) {
    return absl::InternalError(absl::StrCat("libpng: ", png.message));
  }
  file.resize(size);
  return file;
}

absl::Status WritePictures(FileSystem& fs, const std::string& directory,
                           const PicturesReport& pictures) {
  LOCKSTEP_ASSIGN_OR_RETURN(const std::string png, EncodePng(ArrangePictures(pictures)));
  LOCKSTEP_RETURN_IF_ERROR(fs.MakeDirectories(directory));
  return ReplaceFileSynced(
      fs, JoinPath(directory, absl::StrFormat("epoch-%04d.png", pictures.epoch)), png);
}

}  // namespace lockstep
