lockstep_test(NAME common_hash_test SRCS fingerprint_test.cc sha256_test.cc DEPS common_hash LABELS unit)
