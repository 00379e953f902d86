// WritePictures: the pictures of an epoch as one PNG, `<directory>/epoch-0001.png`: a grid, one
// pixel apart. Thread: any. Errors: the file system's; an existing file is replaced whole or not at
// all.
#ifndef LOCKSTEP_WORKER_REPORT_PICTURE_FILE_H_
#define LOCKSTEP_WORKER_REPORT_PICTURE_FILE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "common/env/file_system.h"
#include "worker/train/training_observer.h"

namespace lockstep {

// 8 bits a channel, grey or RGB.
struct Image {
  int64_t height = 0;
  int64_t width = 0;
  int64_t channels = 1;
  std::vector<uint8_t> bytes;  // [height][width][channels]
};

// Black between the pictures.
Image ArrangePictures(const PicturesReport& pictures);
absl::StatusOr<std::string> EncodePng(const Image& image);

// Makes the directory where needed.
absl::Status WritePictures(FileSystem& fs, const std::string& directory,
                           const PicturesReport& pictures);

}  // namespace lockstep

#endif  // LOCKSTEP_WORKER_REPORT_PICTURE_FILE_H_
