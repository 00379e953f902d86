// The two roofs of this machine for one thread, measured now: what no kernel can exceed. Thread:
// one. Errors: none; a bench that cannot run ends the process.
#ifndef LOCKSTEP_BENCH_ROOFS_H_
#define LOCKSTEP_BENCH_ROOFS_H_

namespace lockstep::bench {

struct Roofs {
  double flops = 0;        // per second, of independent fused multiply-adds on one thread
  double bytes = 0;        // per second, of a triad far beyond the caches, on one thread
  double cache_bytes = 0;  // the same within the second-level cache
};

Roofs MeasureRoofs();

}  // namespace lockstep::bench

#endif  // LOCKSTEP_BENCH_ROOFS_H_
