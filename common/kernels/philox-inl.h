// Philox4x32-10 (Salmon et al. 2011) over 32-bit lanes: four counter vectors in, four words a lane
// out, equal to the scalar common/base/philox.h in every lane. No errors, any thread.
#if defined(LOCKSTEP_COMMON_KERNELS_PHILOX_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LOCKSTEP_COMMON_KERNELS_PHILOX_INL_H_
#undef LOCKSTEP_COMMON_KERNELS_PHILOX_INL_H_
#else
#define LOCKSTEP_COMMON_KERNELS_PHILOX_INL_H_
#endif

#include <cstdint>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace lockstep::kernels {
namespace HWY_NAMESPACE {

template <class VU>
struct PhiloxWords {
  VU word[4];
};

// The halves of the 64-bit products of 32-bit lanes.
template <class DU, class VU = hwy::HWY_NAMESPACE::Vec<DU>>
HWY_INLINE void MultiplyWide(DU d, VU a, VU b, VU& high, VU& low) {
  namespace hn = hwy::HWY_NAMESPACE;
  const auto even = hn::MulEven(a, b);
  const auto odd = hn::MulEven(hn::DupOdd(a), b);  // b is the same in all lanes
  low = hn::OddEven(hn::BitCast(d, hn::ShiftLeft<32>(odd)), hn::BitCast(d, even));
  high = hn::OddEven(hn::BitCast(d, odd), hn::BitCast(d, hn::ShiftRight<32>(even)));
}

template <class DU, class VU = hwy::HWY_NAMESPACE::Vec<DU>>
HWY_INLINE PhiloxWords<VU> Philox(DU d, PhiloxWords<VU> counter, uint64_t key) {
  namespace hn = hwy::HWY_NAMESPACE;
  const VU multiplier_0 = hn::Set(d, 0xD2511F53u), multiplier_1 = hn::Set(d, 0xCD9E8D57u);
  auto key_0 = static_cast<uint32_t>(key), key_1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    VU high_0, low_0, high_1, low_1;
    MultiplyWide(d, counter.word[0], multiplier_0, high_0, low_0);
    MultiplyWide(d, counter.word[2], multiplier_1, high_1, low_1);
    counter = {{hn::Xor(hn::Xor(high_1, counter.word[1]), hn::Set(d, key_0)), low_1,
                hn::Xor(hn::Xor(high_0, counter.word[3]), hn::Set(d, key_1)), low_0}};
    key_0 += 0x9E3779B9u;
    key_1 += 0xBB67AE85u;
  }
  return counter;
}

}  // namespace HWY_NAMESPACE
}  // namespace lockstep::kernels
HWY_AFTER_NAMESPACE();

#endif  // LOCKSTEP_COMMON_KERNELS_PHILOX_INL_H_
