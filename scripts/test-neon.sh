#!/usr/bin/env bash
# Builds common/kernels for ARM64 and runs its tests under qemu-user: the NEON target gives the bits of the reference too.
# Needs g++-aarch64-linux-gnu, qemu-user, cmake, ninja-build and Debian's package mirror (arm64 libraries are unpacked below the build
# directory; nothing is installed). Usage: scripts/test-neon.sh [ctest arguments]
set -euo pipefail
cd "$(dirname "$0")/.."

build=${BUILD_DIR:-build}/neon
root=$PWD/$build/arm64
[[ $build == /* ]] && root=$build/arm64
packages=(libabsl-dev libabsl20220623 libgmock-dev libgtest-dev libhwy-dev libhwy1 nlohmann-json3-dev)

for tool in aarch64-linux-gnu-g++ qemu-aarch64 cmake ninja; do
  command -v "$tool" > /dev/null || {
    echo "test-neon: $tool is missing; apt-get install g++-aarch64-linux-gnu qemu-user cmake ninja-build" >&2
    exit 1
  }
done

# An apt state of its own, so that the system's architectures and package lists stay as they are.
if [[ ! -e $root/.complete ]]; then
  rm -rf "$root" "$root.apt"
  mkdir -p "$root" "$root.apt"/{state/lists/partial,cache/archives/partial,debs}
  touch "$root.apt/state/status"
  apt=(apt-get -q -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User=
    -o "Dir::State=$root.apt/state" -o "Dir::State::status=$root.apt/state/status" -o "Dir::Cache=$root.apt/cache")
  "${apt[@]}" update
  (cd "$root.apt/debs" && "${apt[@]}" download "${packages[@]}")
  for deb in "$root.apt"/debs/*.deb; do dpkg-deb -x "$deb" "$root"; done
  rm -rf "$root.apt"
  touch "$root/.complete"
fi

cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_TOOLCHAIN_FILE=cmake/aarch64.cmake \
  -DLOCKSTEP_ARM64_ROOT="$root" -DLOCKSTEP_KERNELS_ONLY=ON
cmake --build "$build"
ctest --test-dir "$build" --output-on-failure -LE slow "$@"
