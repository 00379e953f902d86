lockstep_library(
  NAME common_processes
  HDRS attempt_environment.h
       clock.h
       cpu_quota.h
       fifo.h
       host.h
       proc_file.h
       process_runner.h
       signals.h
       socket_pair.h
       unique_fd.h
  SRCS clock.cc
       cpu_quota.cc
       fifo.cc
       host.cc
       posix_process_runner.cc
       proc_file.cc
       signals.cc
       socket_pair.cc
  DEPS common_base absl::status absl::statusor absl::strings absl::time)
