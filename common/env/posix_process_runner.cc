#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "common/base/check.h"
#include "common/env/proc_file.h"
#include "common/env/process_runner.h"

extern char** environ;

namespace lockstep {
namespace {

constexpr int kFirstDescriptor = 3;
// Sources are lifted above every target first, so that no dup2 overwrites one that is still needed.
constexpr int kLiftedDescriptor = 64;

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& text : strings) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// The attributes and file actions of one posix_spawn, released with it.
class SpawnSetup {
 public:
  SpawnSetup() {
    LOCKSTEP_CHECK(posix_spawnattr_init(&attributes_) == 0);
    LOCKSTEP_CHECK(posix_spawn_file_actions_init(&actions_) == 0);
  }
  ~SpawnSetup() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  SpawnSetup(const SpawnSetup&) = delete;
  SpawnSetup& operator=(const SpawnSetup&) = delete;

  void ResetSignals(bool new_session) {
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    const int flags =
        POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | (new_session ? POSIX_SPAWN_SETSID : 0);
    posix_spawnattr_setflags(&attributes_, static_cast<short>(flags));
  }

  void MapDescriptors(const ProcessSpec& spec) {
    const int count = static_cast<int>(spec.descriptors.size());
    for (int i = 0; i < count; ++i) {
      posix_spawn_file_actions_adddup2(&actions_, spec.descriptors[static_cast<size_t>(i)],
                                       kLiftedDescriptor + i);
    }
    posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (!spec.output_file.empty()) {
      posix_spawn_file_actions_addopen(&actions_, STDOUT_FILENO, spec.output_file.c_str(),
                                       O_WRONLY | O_CREAT | O_APPEND, 0644);
      posix_spawn_file_actions_adddup2(&actions_, STDOUT_FILENO, STDERR_FILENO);
    }
    for (int i = 0; i < count; ++i) {
      posix_spawn_file_actions_adddup2(&actions_, kLiftedDescriptor + i, kFirstDescriptor + i);
    }
    posix_spawn_file_actions_addclosefrom_np(&actions_, kFirstDescriptor + count);
    if (!spec.directory.empty())
      posix_spawn_file_actions_addchdir_np(&actions_, spec.directory.c_str());
  }

  const posix_spawnattr_t* attributes() const { return &attributes_; }
  const posix_spawn_file_actions_t* actions() const { return &actions_; }

 private:
  posix_spawnattr_t attributes_;
  posix_spawn_file_actions_t actions_;
};

ProcessExit ToExit(int wait_status) {
  if (WIFSIGNALED(wait_status)) return {.signal = WTERMSIG(wait_status)};
  return {.code = WEXITSTATUS(wait_status)};
}

struct ProcStat {
  char state = '?';
  pid_t session = 0;
  uint64_t start_ticks = 0;
};

// /proc/<pid>/stat: "pid (name) state ppid pgrp session ..."; the name may hold anything, so fields
// count from its last ')'.
std::optional<ProcStat> ReadStat(pid_t pid) {
  const absl::StatusOr<std::string> text = ReadProcFile(absl::StrCat("/proc/", pid, "/stat"));
  if (!text.ok()) return std::nullopt;
  const size_t name_end = text->rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  const std::vector<std::string> fields =
      absl::StrSplit(absl::string_view(*text).substr(name_end + 1), ' ', absl::SkipWhitespace());
  ProcStat stat;
  if (fields.size() < 20 || fields[0].size() != 1 || !absl::SimpleAtoi(fields[3], &stat.session) ||
      !absl::SimpleAtoi(fields[19], &stat.start_ticks)) {
    return std::nullopt;
  }
  stat.state = fields[0][0];
  return stat;
}

bool IsDead(const ProcStat& stat) { return stat.state == 'Z' || stat.state == 'X'; }

bool HasEnvironmentEntry(pid_t pid, absl::string_view entry) {
  const absl::StatusOr<std::string> text = ReadProcFile(absl::StrCat("/proc/", pid, "/environ"));
  if (!text.ok()) return false;
  for (const absl::string_view line : absl::StrSplit(*text, '\0')) {
    if (line == entry) return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<ChildProcess> ChildProcess::Start(const ProcessSpec& spec) {
  LOCKSTEP_CHECK(!spec.argv.empty());
  SpawnSetup setup;
  setup.ResetSignals(spec.new_session);
  setup.MapDescriptors(spec);

  const std::vector<char*> argv = Pointers(spec.argv);
  const std::vector<char*> environment = Pointers(spec.environment);
  pid_t pid = 0;
  const int error = posix_spawnp(&pid, argv[0], setup.actions(), setup.attributes(), argv.data(),
                                 environment.data());
  if (error != 0) return absl::ErrnoToStatus(error, absl::StrCat("starting '", spec.argv[0], "'"));
  return ChildProcess(pid);
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), exit_(std::exchange(other.exit_, ProcessExit{})) {}

std::optional<ProcessExit> ChildProcess::Poll() {
  if (exit_.has_value()) return exit_;
  int status = 0;
  const pid_t reaped = waitpid(pid_, &status, WNOHANG);
  if (reaped == pid_) exit_ = ToExit(status);
  return exit_;
}

ProcessExit ChildProcess::Wait() {
  while (!exit_.has_value()) {
    int status = 0;
    const pid_t reaped = waitpid(pid_, &status, 0);
    if (reaped == pid_) exit_ = ToExit(status);
    LOCKSTEP_CHECK(reaped == pid_ || errno == EINTR);
  }
  return *exit_;
}

void ChildProcess::Signal(int signal) {
  if (!Poll().has_value()) kill(pid_, signal);
}

absl::StatusOr<int> ChildProcess::OpenPidFd() const {
  // The declaration in glibc 2.36 is not usable from C++.
  const int fd = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("opening process ", pid_));
  return fd;
}

std::optional<ProcessIdentity> IdentifyProcess(pid_t pid) {
  const std::optional<ProcStat> stat = ReadStat(pid);
  if (!stat.has_value() || IsDead(*stat)) return std::nullopt;
  return ProcessIdentity{.pid = pid, .start_ticks = stat->start_ticks};
}

std::string BootId() {
  const absl::StatusOr<std::string> id = ReadProcFile("/proc/sys/kernel/random/boot_id");
  return id.ok() ? std::string(absl::StripAsciiWhitespace(*id)) : "";
}

std::vector<pid_t> ProcessesOfSession(pid_t session, absl::string_view environment_entry) {
  std::vector<pid_t> found;
  std::error_code error;
  for (std::filesystem::directory_iterator entry("/proc", error), end; !error && entry != end;
       entry.increment(error)) {
    pid_t pid = 0;
    if (!absl::SimpleAtoi(entry->path().filename().string(), &pid)) continue;
    const std::optional<ProcStat> stat = ReadStat(pid);
    if (!stat.has_value() || IsDead(*stat) || stat->session != session) continue;
    if (environment_entry.empty() || HasEnvironmentEntry(pid, environment_entry))
      found.push_back(pid);
  }
  return found;
}

bool KillSession(pid_t session, absl::string_view environment_entry) {
  const absl::Time deadline = absl::Now() + absl::Seconds(2);
  do {
    std::vector<pid_t> left = ProcessesOfSession(session, environment_entry);
    std::erase(left, getpid());
    if (left.empty()) return true;
    for (const pid_t pid : left) kill(pid, SIGKILL);
    absl::SleepFor(absl::Milliseconds(2));
  } while (absl::Now() < deadline);
  return false;
}

std::vector<std::string> CurrentEnvironment() {
  std::vector<std::string> entries;
  for (char** entry = environ; *entry != nullptr; ++entry) entries.emplace_back(*entry);
  return entries;
}

absl::StatusOr<std::string> CurrentProgram() {
  std::error_code error;
  const std::filesystem::path path = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return absl::ErrnoToStatus(error.value(), "reading /proc/self/exe");
  return path.string();
}

}  // namespace lockstep
