#!/usr/bin/env bash
# Sweeps now: does what the reconciler does each minute, and says what came of each item.
#
# Usage: sweep.sh [--local] [OPTIONS]
#
#   --local    in the local stack that `make stack-up` started
#   OPTIONS    go to `runnerless sweep` as they are: --dry-run, --json, --outputs FILE, --stack NAME
#
# The exit code is 1 when an item failed or a row cannot be read; what failed stays due, and the next sweep repeats it.
set -euo pipefail
# shellcheck source=helper-scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

options=()
while (($#)); do
  case "$1" in
    -h | --help) usage && exit 0 ;;
    --local) use_local_stack ;;
    *) options+=("$1") ;;
  esac
  shift
done
runnerless sweep "${options[@]}"
