# Sourced by .ci/run: the gates that are more than one command. Each stops at its first failure.

# preset NAME [BUILD OPTION...]: configure, build, test.
preset() {
  configure "$1"
  step "build $1" cmake --build --preset "$@"
  ctest --preset "$1"
}

dev() {
  configure dev
  step "build the unit tests" cmake --build --preset dev --target unit_tests
  step "compile every header alone" cmake --build --preset dev --target all_verify_interface_header_sets
  ctest --preset dev --label-regex '^unit$'
}

format() {
  git ls-files '*.h' '*.cc' | xargs clang-format-14 --dry-run --Werror
}

# Sources that differ from LOCKSTEP_TIDY_BASE (the parent commit); the whole tree takes too long for a gate.
clang_tidy() {
  local base=${LOCKSTEP_TIDY_BASE:-HEAD~1} files
  git rev-parse --quiet --verify "$base^{commit}" >/dev/null || base=$(git hash-object -t tree /dev/null)
  configure clang
  mapfile -t files < <(git diff --name-only --diff-filter=d "$base" -- '*.cc' ':!tests/fuzz' ':!bench')
  echo "${#files[@]} files differ from $base"
  ((${#files[@]} == 0)) && return
  printf '%s\0' "${files[@]}" | xargs -0 -n 4 -P "$(nproc)" clang-tidy-14 -p build/clang --quiet 2>&1 |
    sed '/^[0-9]* warnings\? generated\.$/d'
}
