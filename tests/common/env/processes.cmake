lockstep_test(NAME common_processes_test SRCS cpu_quota_test.cc fifo_test.cc process_runner_test.cc
              DEPS common_processes tests_faulty_files LABELS unit)
