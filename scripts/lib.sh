# Sourced by the scripts of this folder and by .ci/run: where the tree is, and quiet steps.
# Every step is one line on the terminal; its output is shown only when it fails.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}

# step TEXT COMMAND...: runs COMMAND in the tree's root; prints TEXT with the seconds it took.
step() {
  local text=$1 log status=0 start=$SECONDS
  shift
  log=$(mktemp)
  printf '%s ... ' "$text"
  (cd "$root" && "$@") >"$log" 2>&1 || status=$?
  if ((status == 0)); then
    echo "$((SECONDS - start)) s"
  else
    echo "failed"
    cat "$log"
    echo "failed with status $status: $*" >&2
  fi
  rm -f "$log"
  return "$status"
}

# configure PRESET: once, and when the presets change; the build itself sees changes to CMake files.
configure() {
  [[ $root/build/$1/build.ninja -nt $root/CMakePresets.json ]] || step "configure $1" cmake --preset "$1"
}

# bits_of BUILD: the lines of bits_test in the last run of ctest there.
bits_of() {
  grep '^bits: ' "$1/Testing/Temporary/LastTest.log"
}

# one_hash: a table of the lines of bits_test on standard input; fails where a job has more than one hash.
one_hash() {
  sort -s -k 2,2 | awk '
    BEGIN { format = "%-10s %-8s %6s  %-18s %-18s\n"; printf format, "job", "target", "cells", "gradients", "model" }
    $1 != "bits:" { next }
    { printf format, $2, $3, $4, substr($5, 1, 16), substr($6, 1, 16); hash = $5 " " $6 }
    $2 in first && first[$2] != hash { differ = 1 }
    !($2 in first) { first[$2] = hash; jobs++ }
    END {
      if (jobs == 0 || differ) { print "FAILED: not one hash for each job"; exit 1 }
      print "one hash for each of " jobs " jobs"
    }'
}
