#!/usr/bin/env bash
# Builds everything and runs every test that needs nothing beyond install-deps.sh: labels unit, per_isa, mpi and e2e.
# Options go to ctest: test.sh -R shape, test.sh -L unit.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

"$root/scripts/install-deps.sh"
configure release
step "build everything" cmake --build --preset release

cd "$root"
start=$SECONDS
if ctest --preset release "$@"; then
  echo "test.sh: all tests passed in $((SECONDS - start)) s"
else
  echo "test.sh: FAILED, see above; again only those that failed: scripts/test.sh --rerun-failed" >&2
  exit 1
fi
