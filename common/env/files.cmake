lockstep_library(NAME common_files HDRS file_system.h SRCS file_system.cc posix_file_system.cc
                 DEPS absl::function_ref absl::status absl::statusor absl::strings absl::span absl::time common_base)
