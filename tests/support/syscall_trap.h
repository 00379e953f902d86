// SyscallTrap: a process or thread that may make no more system calls but those it names; the
// first other one ends the process, and its number is kept where a parent finds it.
#ifndef LOCKSTEP_TESTS_SUPPORT_SYSCALL_TRAP_H_
#define LOCKSTEP_TESTS_SUPPORT_SYSCALL_TRAP_H_

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <new>
#include <vector>

#include "absl/functional/function_ref.h"
#include "gtest/gtest.h"

#include "common/base/check.h"

namespace lockstep::testing {

class SyscallTrap {
 public:
  static constexpr int kNothing = -1;
  enum class Threads { kThis, kAll };

  SyscallTrap()
      : seen_(new (mmap(nullptr, sizeof(std::atomic<int>), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0)) std::atomic<int>(kNothing)) {}
  ~SyscallTrap() { munmap(seen_, sizeof(std::atomic<int>)); }
  SyscallTrap(const SyscallTrap&) = delete;
  SyscallTrap& operator=(const SyscallTrap&) = delete;

  // Runs `body` in a child, which must end in Done or by a trap. Returns the exit code.
  int InChild(absl::FunctionRef<void()> body) {
    int code = kKilled;
    const auto keep = [&code](int status) {
      if (WIFEXITED(status)) code = WEXITSTATUS(status);
      return true;
    };
    EXPECT_EXIT(
        {
          body();
          _exit(kReturned);
        },
        keep, "");
    return code;
  }
  // The system call that ended the child; kNothing: none.
  int seen() const { return *seen_; }

  // In the child: from here on only `allowed`, exit_group and the return from a signal. False where
  // the kernel lets nobody filter.
  bool Arm(Threads threads, const std::vector<int>& allowed) {
    Seen() = seen_;
    struct sigaction action = {};
    action.sa_sigaction = [](int, siginfo_t* info, void*) {
      Seen().load()->store(info->si_syscall);
      syscall(SYS_exit_group, kTrapped);
    };
    action.sa_flags = SA_SIGINFO;
    LOCKSTEP_CHECK(sigaction(SIGSYS, &action, nullptr) == 0);
    // Where it is blocked, the kernel kills without asking the handler.
    sigset_t trap;
    sigemptyset(&trap);
    sigaddset(&trap, SIGSYS);
    LOCKSTEP_CHECK(pthread_sigmask(SIG_UNBLOCK, &trap, nullptr) == 0);
    std::vector<sock_filter> filter = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
    std::vector<int> passed = allowed;
    passed.insert(passed.end(), {SYS_exit_group, SYS_rt_sigreturn});
    for (const int number : passed) {
      filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(number), 0, 1));
      filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    }
    filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP));
    const sock_fprog program = {static_cast<unsigned short>(filter.size()), filter.data()};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return false;
    const unsigned flags = threads == Threads::kAll ? SECCOMP_FILTER_FLAG_TSYNC : 0;
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program) == 0;
  }
  // In the child: it came through.
  [[noreturn]] static void Done() {
    syscall(SYS_exit_group, kDone);
    __builtin_unreachable();
  }
  [[noreturn]] static void CannotFilter() { _exit(kCannotFilter); }

  // Exit codes.
  static constexpr int kDone = 0, kTrapped = 70, kReturned = 71, kCannotFilter = 72, kKilled = 73;

 private:
  static std::atomic<std::atomic<int>*>& Seen() {
    static std::atomic<std::atomic<int>*> seen = nullptr;
    return seen;
  }

  std::atomic<int>* const seen_;
};

}  // namespace lockstep::testing

#endif  // LOCKSTEP_TESTS_SUPPORT_SYSCALL_TRAP_H_
