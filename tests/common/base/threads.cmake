lockstep_test(
  NAME common_threads_test
  SRCS background_worker_test.cc bounded_queue_test.cc compute_pool_test.cc futex_test.cc
  DEPS common_threads
  LABELS unit)
