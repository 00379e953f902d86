#!/usr/bin/env bash
# The lockstep contract in one command: the gradients of five training steps and the model after them, for the four jobs of
# examples/, are one hash for every SIMD target of this CPU, 1 to 8 ranks and 1 to 3 threads, and for NEON under qemu-user.
# Some ten minutes on two cores. Needs what scripts/test-neon.sh needs.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$root"

configure release
step "build bits_test" cmake --build --preset release --target bits_test
step "every target of this CPU, 1 to 8 ranks, 1 to 3 threads" ctest --preset slow -R '^bits_whole$'
here=$(bits_of build/release)

scripts/test-neon.sh
neon=$(realpath -m "${BUILD_DIR:-build}")/neon
step "all four jobs on NEON" ctest --test-dir "$neon" --output-on-failure -R '^bits_whole$'
printf '%s\n' "$here" "$(bits_of "$neon")" | one_hash
