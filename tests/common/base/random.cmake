lockstep_test(NAME common_random_test SRCS normal_test.cc permutation_test.cc philox_test.cc DEPS common_random LABELS unit)
