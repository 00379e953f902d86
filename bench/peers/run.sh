#!/usr/bin/env bash
# Lockstep beside PyTorch, Keras/TensorFlow and Keras/JAX on this machine: bench/peers/run.sh [--help]
# Writes docs/perf/peers-DATE.md and .json, or what --out says. The peers go into a virtual environment outside of the
# tree (about 7 GB in $XDG_CACHE_HOME/lockstep), once. Leave the machine alone meanwhile.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

here=$root/bench/peers
cache=${XDG_CACHE_HOME:-$HOME/.cache}/lockstep
venv=$cache/peers-$(sha256sum "$here/requirements.txt" | cut -c 1-12)
if [[ ! -e $venv/ready ]]; then
  rm -rf "$venv"
  step "make the virtual environment $venv" python3 -m venv "$venv"
  step "install the peers" "$venv/bin/pip" install --quiet --no-cache-dir --requirement "$here/requirements.txt"
  touch "$venv/ready"
fi
configure release
step "build what is compared" cmake --build --preset release --target bench_step lockstep-worker

export TORCHINDUCTOR_CACHE_DIR=$cache/inductor PYTHONDONTWRITEBYTECODE=1
exec "$venv/bin/python" "$here/compare.py" "$@"
