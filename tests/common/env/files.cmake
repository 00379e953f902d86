lockstep_test(NAME common_files_test
              SRCS file_system_test.cc
              DEPS common_files tests_faulty_files LABELS unit)
