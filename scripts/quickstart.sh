#!/usr/bin/env bash
# From a clone to a trained model: installs, builds, and trains examples/fashion_mnist_cnn.yaml on two workers.
# Options go to `lockstep run`, e.g. quickstart.sh -n 4. The result lies in build/quickstart, replaced by every run.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

"$root/scripts/install-deps.sh"
configure release
step "build lockstep and lockstep-worker" cmake --build --preset release --target lockstep lockstep-worker

out=$root/build/quickstart
rm -rf -- "$out"
echo "lockstep run examples/fashion_mnist_cnn.yaml"
exec "$root/build/release/bin/lockstep" run "$root/examples/fashion_mnist_cnn.yaml" --out "$out" "$@"
