lockstep_library(NAME common_logging HDRS exit_codes.h log.h SRCS log.cc
                 DEPS common_base absl::status absl::strings absl::time spdlog::spdlog)
