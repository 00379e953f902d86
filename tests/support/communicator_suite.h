// What every communicator must do, whatever its transport: bodies that all ranks of a group run.
// Used in-process (tests/worker/comm) and under mpirun (tests/mpi). One input over S shards, any
// count of ranks: one answer.
#ifndef LOCKSTEP_TESTS_SUPPORT_COMMUNICATOR_SUITE_H_
#define LOCKSTEP_TESTS_SUPPORT_COMMUNICATOR_SUITE_H_

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "gmock/gmock.h"

#include "common/base/compute_pool.h"
#include "common/base/philox.h"
#include "tests/support/status_matchers.h"
#include "worker/comm/communicator.h"
#include "worker/comm/tree_exchange.h"

namespace lockstep::testing {

// Value e of shard s: of mixed signs and sizes, so that every other order of adding shows.
inline float ShardValue(int32_t shard, int64_t element) {
  const uint32_t word = Philox({static_cast<uint32_t>(element), static_cast<uint32_t>(shard), 0, 0},
                               /*key=*/1)[0];
  return std::ldexp(UniformOf(word) - 0.5f, static_cast<int>(word % 20));
}

// The tree over shards [first, first + count), by its definition.
inline float TreeOf(ShardRange shards, int64_t element) {
  if (shards.count == 1) return ShardValue(shards.first, element);
  const int32_t half = shards.count / 2;
  return TreeOf({shards.first, half}, element) + TreeOf({shards.first + half, half}, element);
}

class CommunicatorSuite {
 public:
  CommunicatorSuite(Communicator& communicator, int32_t shards, int64_t elements, int threads)
      : communicator_(communicator),
        shards_(shards),
        elements_(elements),
        pool_(threads, Spin::kNone) {}

  absl::Status Run() {
    LOCKSTEP_RETURN_IF_ERROR(SumsGradients());
    LOCKSTEP_RETURN_IF_ERROR(GathersValues());
    LOCKSTEP_RETURN_IF_ERROR(ExchangesLongAndShortRanges());
    LOCKSTEP_RETURN_IF_ERROR(CombinesDoubles());
    LOCKSTEP_RETURN_IF_ERROR(BroadcastsFromEveryRank());
    return communicator_.Barrier();
  }

 private:
  // Uneven on purpose: rank 0 has the least, the last one may have nothing.
  std::vector<Range> Ownership() const {
    std::vector<Range> owned;
    int64_t begin = 0;
    for (int r = 0; r < communicator_.size(); ++r) {
      const int64_t end = std::min(elements_, begin + elements_ * (r + 1) / communicator_.size());
      owned.push_back({begin, r + 1 == communicator_.size() ? elements_ : end});
      begin = owned.back().end;
    }
    return owned;
  }

  std::vector<ShardRange> OwnSubtrees() const {
    std::vector<ShardRange> own;
    for (const SubtreePlace& place : communicator_.subtrees()) {
      if (place.rank == communicator_.rank()) own.push_back(place.shards);
    }
    return own;
  }

  absl::Status SumsGradients() {
    const std::vector<ShardRange> subtrees = OwnSubtrees();
    const int64_t stride = elements_ + 16;
    LOCKSTEP_ASSIGN_OR_RETURN(
        const SharedBuffer buffer,
        communicator_.AllocateShared(std::ssize(subtrees) * stride * int64_t{sizeof(float)}));
    auto* const arrays = reinterpret_cast<float*>(buffer.data());
    const std::vector<Range> owned = Ownership();
    for (int round = 0; round < 3; ++round) {
      for (size_t t = 0; t < subtrees.size(); ++t) {
        for (int64_t e = 0; e < elements_; ++e) {
          arrays[static_cast<int64_t>(t) * stride + e] = TreeOf(subtrees[t], e + round);
        }
      }
      LOCKSTEP_RETURN_IF_ERROR(communicator_.ReduceScatterTree({&buffer, stride, owned}, pool_));
      const Range own = owned[static_cast<size_t>(communicator_.rank())];
      for (int64_t e = own.begin; e < own.end; ++e) {
        const float expected = TreeOf({0, shards_}, e + round);
        EXPECT_EQ(std::memcmp(&arrays[e], &expected, sizeof(float)), 0)
            << "element " << e << " is " << arrays[e] << ", not " << expected;
      }
      LOCKSTEP_RETURN_IF_ERROR(communicator_.Barrier());
    }
    return absl::OkStatus();
  }

  absl::Status GathersValues() {
    LOCKSTEP_ASSIGN_OR_RETURN(const SharedBuffer buffer,
                              communicator_.AllocateShared(elements_ * int64_t{sizeof(float)}));
    auto* const values = reinterpret_cast<float*>(buffer.data());
    std::vector<Range> places = Ownership();
    const Range own = places[static_cast<size_t>(communicator_.rank())];
    for (Range& place : places) place = {place.begin * 4, place.end * 4};
    for (int round = 0; round < 3; ++round) {
      for (int64_t e = own.begin; e < own.end; ++e) values[e] = ShardValue(round, e);
      LOCKSTEP_RETURN_IF_ERROR(communicator_.AllGather(buffer, places, pool_));
      for (int64_t e = 0; e < elements_; ++e) EXPECT_EQ(values[e], ShardValue(round, e)) << e;
      LOCKSTEP_RETURN_IF_ERROR(communicator_.Barrier());
    }
    return absl::OkStatus();
  }

  // Rank r has r + 1 bytes in one round and some mails' worth in another.
  absl::Status ExchangesLongAndShortRanges() {
    for (const int64_t scale : {0, 1, 5000, 3}) {
      std::vector<Range> places;
      for (int r = 0; r < communicator_.size(); ++r) {
        const int64_t begin = places.empty() ? 3 : places.back().end + 2;
        places.push_back({begin, begin + (r + 1) * scale});
      }
      std::vector<std::byte> all(static_cast<size_t>(places.back().end + 1), std::byte{0xEE});
      const auto value = [](int r, int64_t i) { return static_cast<std::byte>(r * 31 + i); };
      const Range own = places[static_cast<size_t>(communicator_.rank())];
      for (int64_t i = own.begin; i < own.end; ++i) {
        all[static_cast<size_t>(i)] = value(communicator_.rank(), i);
      }
      LOCKSTEP_RETURN_IF_ERROR(communicator_.Exchange(places, all.data()));
      for (int r = 0; r < communicator_.size(); ++r) {
        for (int64_t i = places[static_cast<size_t>(r)].begin;
             i < places[static_cast<size_t>(r)].end; ++i) {
          EXPECT_EQ(all[static_cast<size_t>(i)], value(r, i)) << "rank " << r << " byte " << i;
        }
      }
      EXPECT_EQ(all.front(), std::byte{0xEE});
      EXPECT_EQ(all.back(), std::byte{0xEE});
    }
    return absl::OkStatus();
  }

  absl::Status CombinesDoubles() {
    const std::vector<ShardRange> subtrees = OwnSubtrees();
    constexpr int64_t kCount = 3;
    std::vector<double> partials;
    for (const ShardRange& subtree : subtrees) {
      for (int64_t i = 0; i < kCount; ++i) partials.push_back(DoubleTreeOf(subtree, i));
    }
    double sums[kCount];
    LOCKSTEP_RETURN_IF_ERROR(TreeExchange<double>(
        communicator_, partials.data(), kCount, [](double a, double b) { return a + b; }, sums));
    for (int64_t i = 0; i < kCount; ++i) EXPECT_EQ(sums[i], DoubleTreeOf({0, shards_}, i));
    return absl::OkStatus();
  }

  static double DoubleTreeOf(ShardRange shards, int64_t i) {
    if (shards.count == 1) return 1.0 / (1 + shards.first * 7 + static_cast<double>(i));
    const int32_t half = shards.count / 2;
    return DoubleTreeOf({shards.first, half}, i) + DoubleTreeOf({shards.first + half, half}, i);
  }

  absl::Status BroadcastsFromEveryRank() {
    for (int root = 0; root < communicator_.size(); ++root) {
      std::vector<int32_t> words(3000, communicator_.rank() == root ? root + 1 : 0);
      LOCKSTEP_RETURN_IF_ERROR(communicator_.Broadcast(
          {reinterpret_cast<std::byte*>(words.data()), words.size() * 4}, root));
      EXPECT_THAT(words, ::testing::Each(root + 1));
    }
    return absl::OkStatus();
  }

  Communicator& communicator_;
  const int32_t shards_;
  const int64_t elements_;
  ComputePool pool_;
};

}  // namespace lockstep::testing

#endif  // LOCKSTEP_TESTS_SUPPORT_COMMUNICATOR_SUITE_H_
