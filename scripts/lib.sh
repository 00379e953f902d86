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
