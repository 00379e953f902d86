lockstep_test(NAME exit_codes_test SRCS exit_codes_test.cc DEPS common_logging common_threads LABELS unit)
lockstep_test(NAME log_test SRCS log_test.cc DEPS common_logging common_threads LABELS unit)
