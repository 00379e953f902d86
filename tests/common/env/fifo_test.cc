#include "common/env/fifo.h"

#include <fcntl.h>
#include <unistd.h>

#include "gmock/gmock.h"

#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace lockstep {
namespace {

using ::lockstep::testing::StatusIs;
using ::lockstep::testing::TempDir;
using ::testing::HasSubstr;

TEST(FifoReader, OutlivesItsWritersAndNeverBlocks) {
  const TempDir dir;
  const std::string path = dir.File("fifo");
  ASSERT_OK_AND_ASSIGN(FifoReader reader, FifoReader::Create(path));
  EXPECT_EQ(reader.ReadAvailable(), "");

  for (const char* text : {"one", "two"}) {
    const UniqueFd writer(open(path.c_str(), O_WRONLY | O_NONBLOCK));
    ASSERT_EQ(write(writer.get(), text, 3), 3);
  }

  EXPECT_EQ(reader.ReadAvailable(), "onetwo");
  EXPECT_THAT(FifoReader::Create(path),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("fifo")));
}

TEST(FifoWriter, WritesWholeLinesAndDropsWhatFindsNoRoomOrNoReader) {
  const TempDir dir;
  const std::string path = dir.File("fifo");
  FifoWriter to_nobody(path);
  to_nobody.Write("lost\n");
  ASSERT_OK_AND_ASSIGN(FifoReader reader, FifoReader::Create(path));
  FifoWriter writer(path);

  writer.Write("one\n");
  writer.Write(std::string(5000, 'x'));
  writer.Write("two\n");
  EXPECT_EQ(reader.ReadAvailable(), "one\ntwo\n");

  const std::string line = std::string(4000, 'y') + "\n";
  for (int i = 0; i < 2000; ++i) writer.Write(line);  // never blocks
  const std::string kept = reader.ReadAvailable();
  EXPECT_GT(kept.size(), 0u);
  EXPECT_EQ(kept.size() % line.size(), 0u);
}

}  // namespace
}  // namespace lockstep
