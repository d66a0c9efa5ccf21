#!/usr/bin/env bash
# Loads mapping files: which job gets which runner.
#
# Usage: load-mappings.sh [--local] FILE... [-- OPTIONS]
#
#   --local   into the local stack that `make stack-up` started
#   FILE      rows in our JSON, a BatchWriteItem request, a scan, or the registry of gitlab-runners-on-aws
#   OPTIONS   go to `runnerless map load` as they are: --global, --owner NAME, --replace, --dry-run, --outputs FILE
#
# All files are checked before the first is written. Each file is loaded whole or not at all.
set -euo pipefail
# shellcheck source=helper-scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

files=()
while (($#)); do
  case "$1" in
    -h | --help) usage && exit 0 ;;
    --local) use_local_stack ;;
    --) shift && break ;;
    -*) fail 2 "$1 is no option of mine; options of the command come after --" ;;
    *) files+=("$1") ;;
  esac
  shift
done
((${#files[@]})) || fail 2 "no file was named; see --help"

# The words of a check are shown when it fails; what is accepted is told by the load itself.
for file in "${files[@]}"; do
  code=0
  words="$(runnerless map load "$file" "$@" --dry-run 2>&1 >/dev/null)" || code=$?
  ((code == 0)) || {
    printf '%s\n' "$words" >&2
    fail "$code" "$file was refused; nothing was written"
  }
done
for file in "${files[@]}"; do
  runnerless map load "$file" "$@"
done
