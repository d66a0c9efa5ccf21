#!/usr/bin/env bash
# Invokes one function of the stack with an event, waits, and prints its answer.
#
# Usage: invoke.sh [--local] FUNCTION [EVENT.json]
#
#   --local      in the local stack that `make stack-up` started
#   FUNCTION     authorizer, ingest, router, executor, claim, terminator or reconciler (by its stack output, which is
#                read from the variable <FUNCTION>_FUNCTION_NAME), or the name of any other function
#   EVENT.json   the event; the first of events/FUNCTION/ otherwise
#
# A function that isolates tenants needs one: TENANT_ID=name. The exit code is 1 when the function answers with an error.
set -euo pipefail
# shellcheck source=helper-scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

words=()
while (($#)); do
  case "$1" in
    -h | --help) usage && exit 0 ;;
    --local) use_local_stack ;;
    -*) fail 2 "$1 is no option of mine; see --help" ;;
    *) words+=("$1") ;;
  esac
  shift
done
((${#words[@]} == 1 || ${#words[@]} == 2)) || fail 2 "name a function, and an event if you like; see --help"

part="${words[0]}"
variable="$(tr '[:lower:]-' '[:upper:]_' <<<"$part")_FUNCTION_NAME"
function="$part"
[[ "$variable" =~ ^[A-Z0-9_]+$ ]] && function="${!variable:-$part}"

if ((${#words[@]} == 2)); then
  event="${words[1]}"
else
  shopt -s nullglob
  events=("$root/events/$part/"*.json)
  ((${#events[@]})) || fail 2 "there is no event in events/$part; name one"
  event="${events[0]}"
  printf 'event: %s\n' "$event" >&2
fi
[[ -r "$event" ]] || fail 2 "$event cannot be read"

aws --version >/dev/null 2>&1 ||
  fail 3 "the AWS CLI (aws) is not installed; without it: cargo lambda invoke $part --data-file $event"

answer="$(mktemp)"
trap 'rm -f "$answer"' EXIT
options=()
[[ -z "${TENANT_ID:-}" ]] || options+=(--tenant-id "$TENANT_ID")
# A failed call to AWS is a remote error, a failed function a finding.
error="$(aws lambda invoke --cli-read-timeout 0 --function-name "$function" --payload "fileb://$event" "${options[@]}" \
  --query FunctionError --output text "$answer")" || fail 4 "$function could not be invoked"
cat "$answer"
printf '\n'
[[ "$error" == None ]] || fail 1 "$function answered with an error ($error)"
