lockstep_library(NAME common_hash HDRS fingerprint.h sha256.h SRCS fingerprint.cc sha256.cc
                 DEPS absl::strings common_base OpenSSL::Crypto PkgConfig::xxhash)
