#!/usr/bin/env bash
# Stores the stack's secrets in Parameter Store, encrypted. CloudFormation cannot create them.
#
# Usage: store-parameters.sh [--local] [-- OPTIONS]
#
#   --local   into the local stack that `make stack-up` started
#   OPTIONS   go to `runnerless secrets put` as they are: --outputs FILE, --stack NAME
#
# Each value comes from the file that a variable names; where none does, it is asked for on a terminal, and skipped
# elsewhere or when the answer is empty. No value is ever an argument, where other processes could read it.
#
#   SECRET_TOKEN_FILE    what GitLab sends as X-Gitlab-Token
#   SIGNING_TOKEN_FILE   what GitLab signs webhooks with (whsec_...)
#   API_TOKEN_FILE       a token for GitLab's API (read_api); optional
#   URL_FILE             GitLab's address
#   RUNNER_TOKEN_FILE    the runner token (glrt-...) of one lane, with
#     RUNNER_ENGINE      LAMBDA or EC2 (default LAMBDA)
#     RUNNER_TAGS        the lane's tags by commas (default none: the untagged lane)
#   KEEP_PREVIOUS=1      keeps the present secret and signing tokens as the previous ones, so that both are taken
set -euo pipefail
# shellcheck source=helper-scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

options=()
while (($#)); do
  case "$1" in
    -h | --help) usage && exit 0 ;;
    --local) use_local_stack ;;
    --) shift && options=("$@") && break ;;
    *) fail 2 "$1 is no option of mine; options of the command come after --" ;;
  esac
  shift
done

stored=0
# store <name> <file or nothing> <question> [options...]
store() {
  local name="$1" file="$2" question="$3" value
  shift 3
  if [[ -n "$file" ]]; then
    runnerless secrets put "$name" --file "$file" "$@" "${options[@]}"
  elif [[ -t 0 ]]; then
    read -r -s -p "$question (empty to skip): " value
    printf '\n' >&2
    [[ -n "$value" ]] || return 0
    # printf is the shell's own: the value is in no argument list.
    printf '%s' "$value" | runnerless secrets put "$name" "$@" "${options[@]}"
  else
    return 0
  fi
  stored=$((stored + 1))
}

keep=()
[[ "${KEEP_PREVIOUS:-}" != 1 ]] || keep=(--keep-previous)

store secret-token "${SECRET_TOKEN_FILE:-}" "The webhook's secret token" "${keep[@]}"
store signing-token "${SIGNING_TOKEN_FILE:-}" "The webhook's signing token" "${keep[@]}"
store api-token "${API_TOKEN_FILE:-}" "A token for GitLab's API"
store url "${URL_FILE:-}" "GitLab's address"
store runner-token "${RUNNER_TOKEN_FILE:-}" "The runner token of the lane ${RUNNER_ENGINE:-LAMBDA} {${RUNNER_TAGS:-}}" \
  --engine "${RUNNER_ENGINE:-LAMBDA}" --lane-tags "${RUNNER_TAGS:-}"

((stored)) || fail 2 "nothing was stored: name a file in a variable, or run this on a terminal; see --help"
