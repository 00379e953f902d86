// kBannedTokens: words with a better replacement, and where they may stand all the same.
#ifndef LOCKSTEP_TESTS_TIDY_BANNED_TOKENS_H_
#define LOCKSTEP_TESTS_TIDY_BANNED_TOKENS_H_

#include "absl/strings/string_view.h"

namespace lockstep::tidy {

// Places are patterns of paths with blanks between them; `*` matches any text.
struct Banned {
  absl::string_view token;  // a word of its own; with a trailing `*`, the start of one
  absl::string_view instead;
  absl::string_view places = "";    // where it may stand
  absl::string_view only_in = "*";  // where the rule holds
  bool in_comments = false;
};

inline constexpr Banned kBannedTokens[] = {
    {"std::string_view", "absl::string_view: Debian's Abseil has a type of its own"},
    {"std::thread", "lockstep::Thread of common/base/thread.h, named and joined", "common/base/*"},
    {"std::jthread", "lockstep::Thread of common/base/thread.h", "common/base/*"},
    {"std::async", "a thread pool of common/base"},
    {"std::mutex", "lockstep::Mutex of common/base/mutex.h, annotated", "common/base/*"},
    {"absl::Mutex", "lockstep::Mutex of common/base/mutex.h, which TSan sees"},
    {"std::random_device", "common/env: entropy has one door", "common/env/*"},
    {"rand(", "common/base/philox.h: random numbers are functions of (seed, purpose, position)"},
    {"srand(", "common/base/philox.h: random numbers are functions of (seed, purpose, position)"},
    {"std::shuffle", "common/base/permutation.h: the same on every standard library"},
    {"system_clock::now", "Clock of common/env/clock.h", "common/env/*"},
    {"steady_clock::now", "Clock of common/env/clock.h", "common/env/*"},
    {"high_resolution_clock::now", "Clock of common/env/clock.h", "common/env/*"},
    {"absl::Now(", "Clock of common/env/clock.h", "common/env/* bench/* tests/*"},
    {"sleep(", "wait for the event itself, or Clock of common/env/clock.h", "common/env/*"},
    {"usleep(", "wait for the event itself, or Clock of common/env/clock.h", "common/env/*"},
    {"nanosleep(", "wait for the event itself, or Clock of common/env/clock.h", "common/env/*"},
    {"sleep_for", "wait for the event itself, or Clock of common/env/clock.h", "common/env/*"},
    {"absl::SleepFor", "WaitUntil of tests/support/wait_until.h, or wait for the event itself",
     "common/env/* tests/support/wait_until.h"},
    {"throw", "absl::Status at boundaries, LOCKSTEP_CHECK inside"},
    {"assert(", "LOCKSTEP_DCHECK of common/base/check.h"},
    {"std::cout", "absl::PrintF in cli, Log of common/base/log.h elsewhere"},
    {"std::cerr", "absl::FPrintF in cli, Log of common/base/log.h elsewhere"},
    {"using namespace", "the names you need, one by one, or none"},
    {"#pragma once", "a guard LOCKSTEP_PATH_FILE_H_"},
    {"#pragma omp", "a thread pool of common/base; work is cut along outputs, never across a sum"},
    {"fork(",
     "ProcessRunner of common/env/process_runner.h: gRPC and threads do not survive a fork"},
    {"vfork(", "ProcessRunner of common/env/process_runner.h"},
    {"popen(", "ProcessRunner of common/env/process_runner.h"},
    {"system(", "ProcessRunner of common/env/process_runner.h: no shell sees user input"},
    {"MPI_Allreduce", "Communicator: its bits change with the world size", "bench/*"},
    {"MPI_Iallreduce", "Communicator: wrong sums in place (DESIGN 5)"},
    {"MPI_Reduce", "Communicator: its bits change with the world size", "bench/*"},
    {"Min(", "compare and select: Highway's Min differs in NaN and zeros", "", "common/kernels/*"},
    {"Max(", "compare and select: Highway's Max differs in NaN and zeros", "", "common/kernels/*"},
    {"SumOfLanes(", "the lane tree: its order is the target's", "", "common/kernels/*"},
    {"MinOfLanes(", "the lane tree: its order is the target's", "", "common/kernels/*"},
    {"MaxOfLanes(", "the lane tree: its order is the target's", "", "common/kernels/*"},
    {"ReduceSum(", "the lane tree: its order is the target's", "", "common/kernels/*"},
    {"Approximate*", "true division and square root", "", "common/kernels/*"},
    {"_mm_*", "Highway: one body for every target"},
    {"_mm256_*", "Highway: one body for every target"},
    {"_mm512_*", "Highway: one body for every target"},
    {"std::exp", "our own function: libm's bits depend on its version",
     "common/kernels/reference_math.h", "common/* worker/*"},
    {"std::log", "our own function: libm's bits depend on its version",
     "common/kernels/reference_math.h", "common/* worker/*"},
    {"std::pow", "our own function: libm's bits depend on its version", "", "common/* worker/*"},
    {"std::tanh", "our own function: libm's bits depend on its version",
     "common/kernels/reference_math.h", "common/* worker/*"},
    {"std::sin", "our own function: libm's bits depend on its version", "", "common/* worker/*"},
    {"std::cos", "our own function: libm's bits depend on its version", "", "common/* worker/*"},
    {"std::accumulate", "a loop with a stated order", "", "common/kernels/* common/optim/*"},
    {"std::reduce", "a loop with a stated order"},
    {"std::execution", "a thread pool of common/base"},
    {"DISABLED_*", "GTEST_SKIP() with an issue number: a disabled test is counted"},
    {"FIXME", "mend it, or TODO(#123) with its issue", "tests/tidy/*", "*", true},
    {"XXX", "say what is meant", "tests/tidy/*", "*", true},
    {"TODO", "TODO(#123) with its issue", "tests/tidy/*", "*", true},
};

}  // namespace lockstep::tidy

#endif  // LOCKSTEP_TESTS_TIDY_BANNED_TOKENS_H_
