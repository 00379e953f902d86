#include "common/data/data_cache.h"

#include <atomic>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"

#include "common/base/thread.h"
#include "tests/common/data/data_testing.h"
#include "tests/support/faulty_file_system.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

using ::testing::AllOf;
using testing::DataFolder;
using ::testing::ElementsAre;
using testing::FaultyFileSystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::LogLines;
using testing::StatusIs;
using testing::TempDir;

constexpr int64_t kLarge = 1 << 20;

DataFile SourceNamed(const std::string& path) {
  return {.path = path,
          .state = {.type = FileType::kRegular, .size_bytes = 7, .inode = 3},
          .mapping = nullptr};
}

// What `cache` gives for `source`; counts how often the copy had to be made.
absl::StatusOr<std::unique_ptr<MappedFile>> GetText(DataCache& cache, const DataFile& source,
                                                    absl::string_view text, int& made) {
  return cache.Get(source, "gz", static_cast<int64_t>(text.size()), [&](File& file) {
    ++made;
    const size_t half = text.size() / 2;
    absl::Status status = file.Write(0, text.substr(0, half));
    return status.ok() ? file.Write(static_cast<int64_t>(half), text.substr(half)) : status;
  });
}

std::vector<std::string> FilesEndingIn(absl::string_view suffix, const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (absl::EndsWith(entry.path().string(), suffix)) names.push_back(entry.path());
  }
  return names;
}
std::vector<std::string> Copies(const std::string& directory) {
  return FilesEndingIn(".copy", directory);
}
std::vector<std::string> Temporaries(const std::string& directory) {
  return FilesEndingIn(".tmp", directory);
}

// The exemplar: one directory, several caches in place of processes, `made` counting the work.
TEST(DataCache, MakesACopyOnceForAllProcesses) {
  TempDir dir;
  DataCache first(PosixFileSystem(), dir.File("a/b"), kLarge);
  DataCache second(PosixFileSystem(), dir.File("a/b"), kLarge);
  int made = 0;

  ASSERT_OK_AND_ASSIGN(const auto one, GetText(first, SourceNamed("/x"), "hello", made));
  ASSERT_OK_AND_ASSIGN(const auto two, GetText(second, SourceNamed("/x"), "hello", made));

  EXPECT_EQ(one->bytes(), "hello");
  EXPECT_EQ(two->bytes(), "hello");
  EXPECT_EQ(made, 1);
}

TEST(DataCache, MakesACopyOnceForAllThreads) {
  TempDir dir;
  DataCache cache(PosixFileSystem(), dir.path(), kLarge);
  std::atomic<int> made = 0, right = 0;
  const std::string text(100'000, 'x');
  std::vector<Thread> threads;

  for (int i = 0; i < 8; ++i) {
    threads.emplace_back("cache user", [&] {
      const auto copy = cache.Get(SourceNamed("/x"), "gz", 100'000, [&](File& file) {
        ++made;
        return file.Write(0, text);
      });
      if (copy.ok() && (*copy)->bytes() == text) ++right;
    });
  }
  threads.clear();  // joins them

  EXPECT_EQ(made, 1);
  EXPECT_EQ(right, 8);
}

TEST(DataCache, KnowsAFileByItsStateAndACopyByItsVariant) {
  TempDir dir;
  DataCache cache(PosixFileSystem(), dir.path(), kLarge);
  int made = 0;
  const DataFile file = SourceNamed("/x");
  DataFile moved = file, grown = file, changed = file, replaced = file, elsewhere = file;
  moved.path = "/y";
  grown.state.size_bytes = 8;
  changed.state.modified += absl::Nanoseconds(1);
  replaced.state.inode = 4;
  elsewhere.state.device = 1;

  for (const DataFile& other : {file, moved, grown, changed, replaced, elsewhere, file}) {
    ASSERT_OK(GetText(cache, other, "hello", made));
  }
  EXPECT_EQ(made, 6);
  ASSERT_OK(cache.Get(file, "npz/x", 5, [&](File& out) {
    ++made;
    return out.Write(0, "world");
  }));
  EXPECT_EQ(made, 7);
}

TEST(DataCache, NeverUsesACopyOfTheWrongSize) {
  TempDir dir;
  DataCache cache(PosixFileSystem(), dir.path(), kLarge);
  int made = 0;
  ASSERT_OK(GetText(cache, SourceNamed("/x"), "hello", made));
  fs::resize_file(Copies(dir.path()).at(0), 4);

  ASSERT_OK_AND_ASSIGN(const auto copy, GetText(cache, SourceNamed("/x"), "hello", made));

  EXPECT_EQ(copy->bytes(), "hello");
  EXPECT_EQ(made, 2);
  EXPECT_EQ(fs::file_size(Copies(dir.path()).at(0)), 5);
}

TEST(DataCache, ReturnsTheErrorOfTheDataAndKeepsNothing) {
  TempDir dir;
  LogLines log;
  DataCache cache(PosixFileSystem(), dir.path(), kLarge);
  int made = 0;

  EXPECT_THAT(cache.Get(SourceNamed("/x"), "gz", 5,
                        [&](File& file) {
                          ++made;
                          EXPECT_OK(file.Write(0, "he"));
                          return absl::DataLossError("cut off");
                        }),
              StatusIs(absl::StatusCode::kDataLoss, "cut off"));
  EXPECT_EQ(made, 1);
  EXPECT_THAT(Copies(dir.path()), IsEmpty());
  EXPECT_THAT(Temporaries(dir.path()), IsEmpty());
  EXPECT_THAT(log.lines(), IsEmpty());
  EXPECT_OK(GetText(cache, SourceNamed("/x"), "hello", made));
}

TEST(DataCache, TakesExactlyTheBytesAnnounced) {
  TempDir dir;
  DataCache cache(PosixFileSystem(), dir.path(), kLarge);
  const auto get = [&cache](absl::string_view text, int64_t offset) {
    return cache.Get(SourceNamed("/x"), "gz", 5,
                     [=](File& file) { return file.Write(offset, text); });
  };
  EXPECT_THAT(get("hell", 0), StatusIs(absl::StatusCode::kInternal, HasSubstr("ended early")));
  EXPECT_THAT(get("hello!", 0), StatusIs(absl::StatusCode::kInternal, HasSubstr("got 6")));
  EXPECT_THAT(get("ello", 1), StatusIs(absl::StatusCode::kInternal, HasSubstr("offset 1")));
  EXPECT_OK(get("hello", 0));
}

// Marks the only copy of this size as unused since then.
void Age(const std::string& directory, uintmax_t bytes, int hours) {
  for (const std::string& path : Copies(directory)) {
    if (fs::file_size(path) != bytes) continue;
    fs::last_write_time(path, fs::file_time_type::clock::now() - std::chrono::hours(hours));
  }
}

TEST(DataCache, RemovesTheLongestUnusedCopiesUntilTheBoundHolds) {
  TempDir dir;
  DataCache cache(PosixFileSystem(), dir.path(), 100);
  int made = 0;
  const std::string a(30, 'a'), b(31, 'b'), c(32, 'c'), d(33, 'd');
  ASSERT_OK(GetText(cache, SourceNamed("/a"), a, made));
  ASSERT_OK(GetText(cache, SourceNamed("/b"), b, made));
  ASSERT_OK_AND_ASSIGN(const auto held, GetText(cache, SourceNamed("/c"), c, made));
  Age(dir.path(), 30, 3);
  Age(dir.path(), 31, 2);
  Age(dir.path(), 32, 1);
  ASSERT_OK(GetText(cache, SourceNamed("/a"), a, made));  // a use makes it the youngest
  ASSERT_EQ(made, 3);

  ASSERT_OK(GetText(cache, SourceNamed("/d"), d, made));  // 30 + 31 + 32 + 33 > 100: b goes

  ASSERT_OK(GetText(cache, SourceNamed("/a"), a, made));
  ASSERT_OK(GetText(cache, SourceNamed("/c"), c, made));
  ASSERT_OK(GetText(cache, SourceNamed("/d"), d, made));
  EXPECT_EQ(made, 4);
  ASSERT_OK(GetText(cache, SourceNamed("/b"), std::string(100, 'b'), made));  // all the others go
  EXPECT_EQ(Copies(dir.path()).size(), 1);
  EXPECT_EQ(held->bytes(), c);  // of a copy in use only the name has gone
}

TEST(DataCache, CountsAndSparesWhatOthersWrite) {
  TempDir dir;
  DataCache cache(PosixFileSystem(), dir.path(), 100);
  int made = 0;
  ASSERT_OK(GetText(cache, SourceNamed("/a"), std::string(60, 'a'), made));
  const auto inner = [&](File& file) {
    // While /b of 30 bytes is being written, /c of 50 needs room: /a must go, not /b.
    EXPECT_OK(GetText(cache, SourceNamed("/c"), std::string(50, 'c'), made));
    EXPECT_EQ(Copies(dir.path()).size(), 1);
    EXPECT_EQ(Temporaries(dir.path()).size(), 1);
    return file.Write(0, std::string(30, 'b'));
  };

  EXPECT_OK(cache.Get(SourceNamed("/b"), "gz", 30, inner));

  EXPECT_EQ(Copies(dir.path()).size(), 2);
}

TEST(DataCache, RemovesWhatADeadProcessLeftHalfWritten) {
  TempDir dir;
  DataCache cache(PosixFileSystem(), dir.path(), 100);
  const std::string left = dir.File("00112233445566778899aabbccddeeff.copy.tmp");
  const std::string strange = dir.File("notes.txt");
  for (const std::string& path : {left, strange}) {
    ASSERT_OK(PosixFileSystem().Open(path, OpenMode::kTruncate).value()->Truncate(1000));
  }
  int made = 0;

  ASSERT_OK(GetText(cache, SourceNamed("/a"), "hello", made));

  EXPECT_FALSE(fs::exists(left));
  EXPECT_TRUE(fs::exists(strange));  // not of ours
  EXPECT_EQ(Copies(dir.path()).size(), 1);
}

// Wherever a call of the disk fails, the bytes are right and nothing half-written stays.
TEST(DataCache, FallsBackToMemoryWhereverTheDiskFails) {
  int call = 1;
  for (bool failed = true; failed; ++call) {
    TempDir dir;
    LogLines log;
    FaultyFileSystem faulty;
    faulty.FailAt(call, absl::ResourceExhaustedError("no space left on device"));
    DataCache cache(faulty, dir.File("cache"), kLarge);
    int made = 0;

    ASSERT_OK_AND_ASSIGN(const auto copy, GetText(cache, SourceNamed("/x"), "hello", made));

    EXPECT_EQ(copy->bytes(), "hello");
    failed = faulty.calls() >= call;
    EXPECT_EQ(log.lines().size(), failed ? 1 : 0) << call;
    if (!failed) break;
    EXPECT_THAT(log.lines()[0], AllOf(HasSubstr("warning data_cache_unavailable"),
                                      HasSubstr("source=/x"), HasSubstr("no space left")));
    if (fs::exists(dir.File("cache"))) {
      EXPECT_THAT(Copies(dir.File("cache")), IsEmpty()) << call;
      EXPECT_THAT(Temporaries(dir.File("cache")), IsEmpty()) << call;
    }
  }
  // Directory, file, size, two pieces, sync, close, rename.
  EXPECT_EQ(call, 9);
}

TEST(DataCache, IsWholeWhereverAProcessDies) {
  for (int call = 1;; ++call) {
    TempDir dir;
    LogLines log;
    FaultyFileSystem faulty;
    faulty.CrashAt(call);
    DataCache dying(faulty, dir.File("cache"), kLarge);
    int made = 0;
    ASSERT_OK(GetText(dying, SourceNamed("/x"), "hello", made));
    const bool crashed = faulty.crashed();

    DataCache next(PosixFileSystem(), dir.File("cache"), kLarge);
    ASSERT_OK_AND_ASSIGN(const auto copy, GetText(next, SourceNamed("/x"), "hello", made));

    EXPECT_EQ(copy->bytes(), "hello") << call;
    EXPECT_EQ(Copies(dir.File("cache")).size(), 1) << call;
    EXPECT_THAT(Temporaries(dir.File("cache")), IsEmpty()) << call;
    if (!crashed) break;
  }
}

TEST(DataCache, WarnsOnceAndUsesMemoryWhereThereIsNoPlace) {
  TempDir dir;
  int made = 0;
  ASSERT_OK(PosixFileSystem().Open(dir.File("file"), OpenMode::kCreateNew));
  FaultyFileSystem full;
  full.SetFreeBytes(4);
  DataCache nowhere(PosixFileSystem(), "", kLarge);
  DataCache below_a_file(PosixFileSystem(), dir.File("file/cache"), kLarge);
  DataCache small(PosixFileSystem(), dir.File("small"), 4);
  DataCache on_full_disk(full, dir.File("full"), kLarge);
  const std::pair<DataCache*, std::string> kCases[] = {
      {&nowhere, "set LOCKSTEP_CACHE"},
      {&below_a_file, "Not a directory"},
      {&small, "larger than the whole cache of 4 bytes may be; raise LOCKSTEP_CACHE_BYTES"},
      {&on_full_disk, "has 4 bytes left"}};

  for (const auto& [cache, reason] : kCases) {
    LogLines log;
    ASSERT_OK_AND_ASSIGN(const auto copy, GetText(*cache, SourceNamed("/x"), "hello", made));
    EXPECT_EQ(copy->bytes(), "hello");
    EXPECT_THAT(log.lines(),
                ElementsAre(AllOf(HasSubstr("data_cache_unavailable"), HasSubstr(reason))));
  }
  EXPECT_EQ(made, 4);
  LogLines log;
  EXPECT_OK(GetText(small, SourceNamed("/x"), "hell", made));
  EXPECT_THAT(log.lines(), IsEmpty());
}

TEST(DataCache, ReturnsTheErrorOfTheDataFromMemoryToo) {
  LogLines log;
  DataCache nowhere(PosixFileSystem(), "", kLarge);
  EXPECT_THAT(
      nowhere.Get(SourceNamed("/x"), "gz", 5, [](File&) { return absl::DataLossError("cut off"); }),
      StatusIs(absl::StatusCode::kDataLoss, "cut off"));
}

// Sets variables for one test.
class Environment {
 public:
  explicit Environment(const std::vector<std::pair<const char*, std::string>>& values) {
    for (const char* name : {"LOCKSTEP_CACHE", "LOCKSTEP_CACHE_BYTES", "XDG_CACHE_HOME", "HOME"}) {
      const char* value = getenv(name);
      if (value != nullptr) old_.emplace_back(name, value);
      unsetenv(name);
    }
    for (const auto& [name, value] : values) setenv(name, value.c_str(), 1);
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
  ~Environment() {
    for (const char* name : {"LOCKSTEP_CACHE", "LOCKSTEP_CACHE_BYTES", "XDG_CACHE_HOME", "HOME"}) {
      unsetenv(name);
    }
    for (const auto& [name, value] : old_) setenv(name, value.c_str(), 1);
  }

 private:
  std::vector<std::pair<const char*, std::string>> old_;
};

TEST(DataCache, FindsItsDirectoryInTheEnvironment) {
  TempDir dir;
  const std::string a = dir.File("a"), b = dir.File("b"), c = dir.File("c");
  const auto make_one = [] {
    int made = 0;
    DataCache cache = DataCache::FromEnvironment(PosixFileSystem());
    ASSERT_OK(GetText(cache, SourceNamed("/x"), "hello", made));
  };
  {
    Environment environment({{"LOCKSTEP_CACHE", a}, {"XDG_CACHE_HOME", b}, {"HOME", c}});
    make_one();
    EXPECT_EQ(Copies(a).size(), 1);
  }
  {
    Environment environment({{"LOCKSTEP_CACHE", ""}, {"XDG_CACHE_HOME", b}, {"HOME", c}});
    make_one();
    EXPECT_EQ(Copies(b + "/lockstep").size(), 1);
  }
  {
    Environment environment({{"XDG_CACHE_HOME", "relative"}, {"HOME", c}});
    make_one();
    EXPECT_EQ(Copies(c + "/.cache/lockstep").size(), 1);
  }
  {
    LogLines log;
    Environment environment({});
    make_one();
    EXPECT_THAT(log.lines(), ElementsAre(HasSubstr("set LOCKSTEP_CACHE")));
  }
}

TEST(DataCache, FindsItsBoundInTheEnvironment) {
  TempDir dir;
  const auto warnings_with = [&dir](const std::string& bound) {
    LogLines log;
    Environment environment({{"LOCKSTEP_CACHE", dir.path()}, {"LOCKSTEP_CACHE_BYTES", bound}});
    DataCache cache = DataCache::FromEnvironment(PosixFileSystem());
    int made = 0;
    EXPECT_OK(GetText(cache, SourceNamed("/" + bound), std::string(2000, 'x'), made));
    return absl::StrJoin(log.lines(), "\n");
  };
  EXPECT_EQ(warnings_with("2000"), "");
  EXPECT_THAT(warnings_with("1999"), HasSubstr("data_cache_unavailable"));
  EXPECT_EQ(warnings_with("2KiB"), "");
  EXPECT_THAT(warnings_with("1KiB"), HasSubstr("data_cache_unavailable"));
  EXPECT_THAT(warnings_with("much"), HasSubstr("data_cache_bound_ignored"));
}

}  // namespace
}  // namespace lockstep
