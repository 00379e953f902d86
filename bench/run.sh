#!/usr/bin/env bash
# Builds and runs the benches; prints Markdown. A table for docs/perf: bench/run.sh > docs/perf/DATE.md
# Leave the machine alone meanwhile: contenders take turns, but a busy core still hides what is to be seen.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/lib.sh"

configure release >&2
step "build the benches" cmake --build --preset release --target bench_step bench_tree_sum lockstep lockstep-worker >&2
cd "$root"
bin=build/release
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

echo "# Benches of $(date +%F), commit $(git rev-parse --short HEAD)"
echo
bench_step() {
  echo "## \`bench_step $*\`"
  echo
  "$bin/bench/bench_step" "$@"
  echo
}
bench_step --calls --batch 16,32,64,128,256 examples/fashion_mnist_*.yaml
bench_step --workers 2 --batch 64,256 examples/fashion_mnist_*.yaml
bench_step --threads 2 --batch 32,128 examples/fashion_mnist_*.yaml
echo '## `mpirun -np 2 bench_tree_sum`'
echo
mpirun -np 2 --bind-to core --mca btl vader,self "$bin/bench/bench_tree_sum"
echo
echo '## `lockstep run examples/fashion_mnist_cnn.yaml`: 5 epochs, batch 32, 2 workers'
echo
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
"$bin/bin/lockstep" run examples/fashion_mnist_cnn.yaml --out "$out/run" 2>/dev/null
