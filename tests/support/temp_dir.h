// TempDir: an empty directory, removed with everything in it at the end of the test.
#ifndef LOCKSTEP_TESTS_SUPPORT_TEMP_DIR_H_
#define LOCKSTEP_TESTS_SUPPORT_TEMP_DIR_H_

#include <string>

#include "absl/strings/string_view.h"
#include "gmock/gmock.h"

#include "common/base/check.h"
#include "common/env/file_system.h"

namespace lockstep::testing {

class TempDir {
 public:
  TempDir() {
    absl::StatusOr<std::string> path =
        PosixFileSystem().MakeUniqueDirectory(JoinPath(::testing::TempDir(), "lockstep-"));
    LOCKSTEP_CHECK(path.ok());
    path_ = *std::move(path);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() {
    PosixFileSystem().RemoveTree(path_).IgnoreError();
  }  // nothing to tell a test that has ended

  const std::string& path() const { return path_; }
  std::string File(absl::string_view name) const { return JoinPath(path_, name); }

 private:
  std::string path_;
};

}  // namespace lockstep::testing

#endif  // LOCKSTEP_TESTS_SUPPORT_TEMP_DIR_H_
