#include "worker/data/batch_loader.h"

#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"

#include "common/kernels/block.h"
#include "common/plan/job_graph.h"
#include "tests/support/memory_dataset.h"
#include "tests/support/status_matchers.h"

namespace lockstep {
namespace {

using ::lockstep::testing::MakeColumn;
using ::lockstep::testing::StatusIs;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// 10 samples in 4 shards: 3 positions each, the last shard has one; 23 samples: the third batch has
// three, so that three of its shards are empty.
constexpr int64_t kBatchSize = 10;
constexpr int32_t kShards = 4;
constexpr int64_t kSamples = 23;
constexpr char kJob[] = R"(
model:
  input_shape: [2]
  layers: [{dense: {units: 3, activation: softmax}}]
data: {train: {format: idx, inputs: a, targets: b}}
train: {batch_size: 10, shards: 4}
loss: sparse_categorical_crossentropy
loss_weights: {dense: 0.3}
optimizer: sgd
)";

// Sample i is (i, -i) with label i mod 3.
Dataset LabelledData() {
  Dataset data;
  data.count = kSamples;
  std::vector<float> inputs;
  std::vector<uint8_t> labels;
  for (int64_t i = 0; i < kSamples; ++i) {
    inputs.insert(inputs.end(), {static_cast<float>(i), static_cast<float>(-i)});
    labels.push_back(static_cast<uint8_t>(i % 3));
  }
  data.inputs.push_back(MakeColumn("input_layer", Shape{2}, std::move(inputs)));
  data.targets.push_back(MakeColumn("dense", Shape{}, std::move(labels)));
  return data;
}

// Remembers which samples were read.
class WatchedColumn final : public Column {
 public:
  WatchedColumn(std::unique_ptr<Column> real, std::set<int64_t>& read)
      : Column(real->field(), real->count()), real_(std::move(real)), read_(read) {}
  absl::Status Read(int64_t index, std::byte* out) const override {
    read_.insert(index);
    return real_->Read(index, out);
  }

 private:
  const std::unique_ptr<Column> real_;
  std::set<int64_t>& read_;
};

// One rank's feed, in memory of its own that is dirty at first.
class RankFeed {
 public:
  RankFeed(const Dataset& data, const JobGraph& graph, int32_t workers, int32_t rank,
           const std::map<int64_t, double>& class_weight = {})
      : geometry_(GeometryOf(kBatchSize, kShards, workers, rank)),
        slots_(static_cast<size_t>(geometry_.blocks) * kernels::kBlockLanes),
        inputs_(slots_ * 2, -7.0f),
        targets_(slots_ * 2, -7.0f),
        labels_(slots_, -7),
        seeds_(slots_, -7.0f),
        weights_(slots_, -7.0f),
        shard_count_(static_cast<size_t>(geometry_.shards), -7),
        position_(slots_, -7),
        loader_(data, graph, class_weight, geometry_, MakeFeed(graph)) {}

  absl::Status Load(const ShardPlan& plan, int64_t step) {
    return loader_.Load(plan, plan.Batch(step));
  }

  // What a slot of the last batch holds.
  struct Slot {
    int64_t sample;
    int32_t label;
    float weight;
    float seed;
    float input[2];
    float target[2];
  };
  // By position in the batch; only slots that hold a sample.
  std::map<int64_t, Slot> Held() const {
    std::map<int64_t, Slot> held;
    for (size_t s = 0; s < slots_; ++s) {
      const int64_t sample = loader_.SampleInSlot(static_cast<int64_t>(s));
      if (sample < 0) continue;
      held[position_[s]] = {.sample = sample,
                            .label = labels_[s],
                            .weight = weights_[s],
                            .seed = seeds_[s],
                            .input = {inputs_[2 * s], inputs_[2 * s + 1]},
                            .target = {targets_[2 * s], targets_[2 * s + 1]}};
    }
    return held;
  }
  // Of the slots that hold none.
  std::vector<float> SeedsAndWeightsOfEmptySlots() const {
    std::vector<float> values;
    for (size_t s = 0; s < slots_; ++s) {
      if (loader_.SampleInSlot(static_cast<int64_t>(s)) >= 0) continue;
      values.insert(values.end(), {seeds_[s], weights_[s]});
    }
    return values;
  }
  const std::vector<int32_t>& shard_count() const { return shard_count_; }

 private:
  Feed MakeFeed(const JobGraph& graph) {
    const bool labels = graph.outputs[0].loss->target_kind() == TargetKind::kLabels;
    return {.input_rows = {reinterpret_cast<std::byte*>(inputs_.data())},
            .target_rows = {labels ? nullptr : reinterpret_cast<std::byte*>(targets_.data())},
            .labels = {labels ? labels_.data() : nullptr},
            .seeds = {seeds_.data()},
            .weights = {weights_.data()},
            .shard_count = shard_count_.data(),
            .batch_position = position_.data()};
  }

  const BatchGeometry geometry_;
  const size_t slots_;
  std::vector<float> inputs_;
  std::vector<float> targets_;
  std::vector<int32_t> labels_;
  std::vector<float> seeds_;
  std::vector<float> weights_;
  std::vector<int32_t> shard_count_;
  std::vector<int32_t> position_;
  BatchLoader loader_;
};

class BatchLoaderTest : public ::testing::Test {
 protected:
  void SetJob(const std::string& job) {
    ASSERT_OK_AND_ASSIGN(const JobSpec spec, LoadJobSpec(job, "job.yaml", ""));
    ASSERT_OK_AND_ASSIGN(JobGraph graph, BuildJobGraph(spec));
    graph_.emplace(std::move(graph));
  }
  void SetUp() override { SetJob(kJob); }

  Dataset data_ = LabelledData();
  std::optional<JobGraph> graph_;
};

// The exemplar: whoever holds a shard, every position of a batch is held once, with its sample.
TEST_F(BatchLoaderTest, HoldsEveryPositionOnceForAnySplitAndAnEmptyShardToo) {
  const ShardPlan plan({0, kSamples}, kBatchSize, /*shuffle=*/true, /*seed=*/4);
  for (int32_t workers = 1; workers <= kShards; ++workers) {
    for (int64_t step = 0; step < 4; ++step) {
      SCOPED_TRACE(absl::StrCat(workers, " workers, step ", step));
      const BatchSpan batch = plan.Batch(step);
      std::map<int64_t, RankFeed::Slot> held;
      std::vector<int32_t> counts;
      for (int32_t rank = 0; rank < workers; ++rank) {
        RankFeed feed(data_, *graph_, workers, rank);
        ASSERT_OK(feed.Load(plan, 2));  // what a batch before has left must not show
        ASSERT_OK(feed.Load(plan, step));
        for (const auto& [position, slot] : feed.Held()) {
          EXPECT_TRUE(held.emplace(position, slot).second) << "position " << position << " twice";
        }
        counts.insert(counts.end(), feed.shard_count().begin(), feed.shard_count().end());
        EXPECT_THAT(feed.SeedsAndWeightsOfEmptySlots(), Each(0.0f));
      }
      const bool full = batch.count == kBatchSize;
      EXPECT_EQ(counts,
                full ? std::vector<int32_t>({3, 3, 3, 1}) : std::vector<int32_t>({3, 0, 0, 0}));
      ASSERT_EQ(std::ssize(held), batch.count);
      for (int64_t position = 0; position < batch.count; ++position) {
        const RankFeed::Slot& slot = held.at(position);
        const int64_t sample = plan.SampleAt(batch, position);
        EXPECT_EQ(slot.sample, sample);
        EXPECT_EQ(slot.label, sample % 3);
        EXPECT_EQ(slot.input[0], static_cast<float>(sample));
        EXPECT_EQ(slot.input[1], static_cast<float>(-sample));
      }
    }
  }
}

// docs/NUMERICS.md section 6: weight x loss weight / the samples of this batch, rounded once.
TEST_F(BatchLoaderTest, SeedsTheLossWithWeightOverTheCountOfTheBatch) {
  const ShardPlan plan({0, kSamples}, kBatchSize, /*shuffle=*/false, /*seed=*/0);
  std::vector<float> sample_weights;
  for (int64_t i = 0; i < kSamples; ++i) sample_weights.push_back(0.1f * static_cast<float>(i));
  data_.weights = MakeColumn("sample_weights", Shape{}, std::move(sample_weights));
  RankFeed feed(data_, *graph_, /*workers=*/1, /*rank=*/0, {{1, 5.0}});
  for (int64_t step = 0; step < 3; ++step) {
    ASSERT_OK(feed.Load(plan, step));

    const auto count = static_cast<double>(plan.Batch(step).count);
    for (const auto& [position, slot] : feed.Held()) {
      const double class_weight = slot.label == 1 ? 5.0 : 1.0;
      const double sample_weight = static_cast<double>(0.1f * static_cast<float>(slot.sample));
      const auto weight = static_cast<float>(sample_weight * class_weight);
      EXPECT_EQ(slot.weight, weight);
      EXPECT_EQ(slot.seed, static_cast<float>(static_cast<double>(weight) * 0.3 / count));
    }
  }
}

TEST_F(BatchLoaderTest, WeighsEverySampleAlikeWithoutWeights) {
  const ShardPlan plan({0, kSamples}, kBatchSize, /*shuffle=*/false, /*seed=*/0);
  RankFeed feed(data_, *graph_, 1, 0);

  ASSERT_OK(feed.Load(plan, 0));

  for (const auto& [position, slot] : feed.Held()) EXPECT_EQ(slot.weight, 1.0f) << position;
}

TEST_F(BatchLoaderTest, ReadsTheSamplesOfItsOwnShardsOnly) {
  std::set<int64_t> read;
  data_.inputs[0] = std::make_unique<WatchedColumn>(std::move(data_.inputs[0]), read);
  data_.targets[0] = std::make_unique<WatchedColumn>(std::move(data_.targets[0]), read);
  const ShardPlan plan({5, kSamples}, kBatchSize, /*shuffle=*/false, /*seed=*/0);
  RankFeed feed(data_, *graph_, /*workers=*/2, /*rank=*/1);

  ASSERT_OK(feed.Load(plan, 0));

  EXPECT_THAT(read, ElementsAre(11, 12, 13, 14))
      << "shards 2 and 3: positions 6 to 9, from sample 5";
}

TEST_F(BatchLoaderTest, CopiesTargetsThatAreValues) {
  std::string job = kJob;
  job.replace(job.find("units: 3"), 8, "units: 2");
  job.replace(job.find("sparse_categorical_crossentropy"), 31, "mean_squared_error");
  SetJob(job);
  std::vector<float> values;
  for (int64_t i = 0; i < kSamples * 2; ++i) values.push_back(static_cast<float>(i) / 4);
  data_.targets[0] = MakeColumn("dense", Shape{2}, std::move(values));
  const ShardPlan plan({0, kSamples}, kBatchSize, /*shuffle=*/true, /*seed=*/4);
  RankFeed feed(data_, *graph_, 1, 0);

  ASSERT_OK(feed.Load(plan, 1));

  for (const auto& [position, slot] : feed.Held()) {
    EXPECT_EQ(slot.target[0], static_cast<float>(2 * slot.sample) / 4) << position;
    EXPECT_EQ(slot.target[1], static_cast<float>(2 * slot.sample + 1) / 4) << position;
  }
}

TEST_F(BatchLoaderTest, RefusesALabelThatIsNoClass) {
  const ShardPlan plan({0, kSamples}, kBatchSize, /*shuffle=*/false, /*seed=*/0);
  for (const int64_t bad : {int64_t{-1}, int64_t{3}, int64_t{1} << 40}) {
    std::vector<int64_t> labels(kSamples, 2);
    labels[14] = bad;
    data_.targets[0] = MakeColumn("dense", Shape{}, std::move(labels));
    RankFeed feed(data_, *graph_, 1, 0);

    EXPECT_OK(feed.Load(plan, 0)) << "2 is the last class";
    EXPECT_THAT(feed.Load(plan, 1), StatusIs(absl::StatusCode::kInvalidArgument,
                                             HasSubstr(absl::StrCat("sample 14 has label ", bad,
                                                                    " of 'dense', outside "
                                                                    "0 to 2;"))));
  }
}

}  // namespace
}  // namespace lockstep
