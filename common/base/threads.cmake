lockstep_library(
  NAME common_threads
  HDRS background_worker.h bounded_queue.h compute_pool.h futex.h mutex.h ring.h thread.h
  SRCS background_worker.cc compute_pool.cc futex.cc thread.cc
  DEPS absl::core_headers absl::function_ref absl::strings absl::time common_base Threads::Threads)
