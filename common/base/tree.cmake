lockstep_library(NAME common_tree HDRS shard_tree.h DEPS common_base)
