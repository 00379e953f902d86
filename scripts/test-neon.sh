#!/usr/bin/env bash
# Builds the kernels and the trainer for ARM64 and runs their tests under qemu-user: the NEON target gives the bits of the
# reference, and training steps of whole models give the hashes that they give on this machine.
# Needs g++-aarch64-linux-gnu, qemu-user and Debian's package mirror beside what scripts/install-deps.sh installs (arm64
# libraries are unpacked below the build directory; nothing is installed). Usage: scripts/test-neon.sh [ctest arguments];
# with arguments the hashes are not compared.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$root"

build=$(realpath -m "${BUILD_DIR:-build}")/neon
arm64=$build/arm64
packages=(libabsl-dev libabsl20220623 libbz2-1.0 libfmt-dev libfmt9 libgmock-dev libgtest-dev libhwy-dev libhwy1 libspdlog-dev
  libspdlog1.10 libssl-dev libssl3 libxxhash-dev libxxhash0 libyaml-cpp-dev libyaml-cpp0.7 libzip-dev libzip4 nlohmann-json3-dev
  zlib1g zlib1g-dev)

for tool in aarch64-linux-gnu-g++ qemu-aarch64 cmake ninja; do
  command -v "$tool" > /dev/null || {
    echo "test-neon: $tool is missing; apt-get install g++-aarch64-linux-gnu qemu-user cmake ninja-build" >&2
    exit 1
  }
done

# An apt state of its own, so that the system's architectures and package lists stay as they are.
unpack() {
  rm -rf "$arm64" "$arm64.apt"
  mkdir -p "$arm64/usr/lib" "$arm64.apt"/{state/lists/partial,cache/archives/partial,debs}
  touch "$arm64.apt/state/status"
  local apt=(apt-get -q -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User=
    -o "Dir::State=$arm64.apt/state" -o "Dir::State::status=$arm64.apt/state/status" -o "Dir::Cache=$arm64.apt/cache")
  "${apt[@]}" update
  (cd "$arm64.apt/debs" && "${apt[@]}" download "${packages[@]}")
  ln -s usr/lib "$arm64/lib"
  local deb link target
  for deb in "$arm64.apt"/debs/*.deb; do dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C "$arm64"; done
  # Links from the root directory lead into the tree.
  find "$arm64" -type l -lname '/*' -printf '%p %l\n' | while read -r link target; do ln -sfn "$arm64$target" "$link"; done
  rm -rf "$arm64.apt"
  echo "${packages[*]}" > "$arm64/.complete"
}

[[ $(cat "$arm64/.complete" 2> /dev/null) == "${packages[*]}" ]] || step "unpack arm64 packages" unpack
# Nothing but the kernels is hot, and they have options of their own.
step "configure neon" cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo \
  -DCMAKE_CXX_FLAGS_RELWITHDEBINFO="-O1 -DNDEBUG" -DCMAKE_TOOLCHAIN_FILE=cmake/aarch64.cmake \
  -DLOCKSTEP_ARM64_ROOT="$arm64" -DLOCKSTEP_TRAINER_ONLY=ON
step "build neon" cmake --build "$build"
ctest --test-dir "$build" --output-on-failure -LE slow "$@"
(($# == 0)) || exit 0

configure release
step "build bits_test" cmake --build --preset release --target bits_test
step "the same steps on this machine" ctest --preset release -R '^bits_test$'
{ bits_of "$build" && bits_of build/release; } | one_hash
