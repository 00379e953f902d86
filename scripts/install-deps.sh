#!/usr/bin/env bash
# Installs what Lockstep needs from Debian 12's own packages. Usage: install-deps.sh [--gates]
#   --gates   also what only .ci/run needs: Clang and its tools, NEON cross-building, Python's numpy
# Idempotent; with everything in place it neither needs root nor touches the network.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

packages=(
  # tools
  ca-certificates ccache cmake g++ git ninja-build pkg-config python3
  # libraries
  libabsl-dev libcli11-dev libeigen3-dev libgmock-dev libgrpc++-dev libgtest-dev libhwy-dev
  libopenmpi-dev libpng-dev libprotobuf-dev libspdlog-dev libssl-dev libxxhash-dev libyaml-cpp-dev
  libzip-dev
  nlohmann-json3-dev openmpi-bin protobuf-compiler protobuf-compiler-grpc zlib1g-dev
  # the data of the first example
  dataset-fashion-mnist
)
gate_packages=(
  clang-14 clang-format-14 clang-tidy-14 g++-aarch64-linux-gnu libclang-rt-14-dev python3-numpy qemu-user
)

case ${1:-} in
  '') ;;
  --gates) packages+=("${gate_packages[@]}") ;;
  *) echo "install-deps.sh: unknown option '$1'; use --gates or nothing" >&2 && exit 2 ;;
esac

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) || status=none
  [[ $status == installed ]] || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
  echo "packages: all ${#packages[@]} installed"
  exit 0
fi

sudo=()
if ((EUID != 0)); then
  command -v sudo >/dev/null || { echo "install-deps.sh: run it as root or install sudo; missing: ${missing[*]}" >&2; exit 1; }
  sudo=(sudo)
fi
step "package lists" "${sudo[@]}" apt-get update
step "install ${missing[*]}" "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install --yes --no-install-recommends "${missing[@]}"
