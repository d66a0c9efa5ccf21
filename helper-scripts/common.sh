# Sourced by the scripts beside it: finds the command and says what is missing.
# shellcheck shell=bash

# Where the checkout is, wherever the scripts are called from.
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

# Says why and ends: `fail <exit code> <words...>`. The codes are the command's own.
fail() {
  local code="$1"
  shift
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit "$code"
}

# Prints the comment at the head of the script, which is its help.
usage() {
  sed -n '2,/^[^#]/{s/^# \{0,1\}//;t print;d;:print;p}' "$0"
}

# Takes the local stack's place and keys, as `make stack-up` wrote them.
use_local_stack() {
  local file="${STATE:-$root/.local}/stack.env"
  [[ -r "$file" ]] || fail 3 "there is no $file; start the local stack with: make stack-up"
  set -a
  # shellcheck source=/dev/null
  source "$file"
  set +a
}

# The operator's command: RUNNERLESS_BIN, or the checkout's own build.
runnerless() {
  local command="${RUNNERLESS_BIN:-$root/target/release/runnerless}"
  [[ -x "$command" ]] || fail 3 "there is no $command; build it with: cargo build --release -p runnerless-cli (or set RUNNERLESS_BIN)"
  "$command" "$@"
}
