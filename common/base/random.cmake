lockstep_library(NAME common_random HDRS normal.h permutation.h philox.h SRCS normal.cc DEPS common_base)
