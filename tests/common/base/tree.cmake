lockstep_test(NAME shard_tree_test SRCS shard_tree_test.cc DEPS common_tree LABELS unit)
