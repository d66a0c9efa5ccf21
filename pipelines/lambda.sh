#!/usr/bin/env bash
# Deploys a Lambda function from a GitLab job, and takes it back. What callers invoke is an alias; a new version is tried
# before the alias points at it, and the version that the alias leaves is remembered.
#
# Usage: lambda.sh deploy | rollback | show
#
# Variables:
#   FUNCTION   the function's name; it exists already, because it is somebody's template that makes it
#   ALIAS      what callers invoke (default: live); made by the first deployment
#   SOURCE     the folder that becomes the zip (default: .), or a zip that is there already
#   BUCKET     a bucket of the function's region for the code
#   CHECK      the payload with which a new version is tried (default: {"check": true})
#   EXPECT     a text that the answer must hold (default: any answer without an error will do)
# AWS credentials and region are the AWS CLI's own variables. It needs the AWS CLI, and zip unless SOURCE is one.
set -euo pipefail

die() {
  echo "lambda: $*" >&2
  exit 1
}

: "${FUNCTION:?the name of the function}"
ALIAS=${ALIAS:-live}
SOURCE=${SOURCE:-.}
CHECK=${CHECK:-'{"check": true}'}
EXPECT=${EXPECT:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The alias as it is: its version, and the one before that. Nothing when there is no such alias; any other trouble ends.
alias_now() {
  local answer
  if ! answer=$(aws lambda get-alias --function-name "$FUNCTION" --name "$ALIAS" --output text \
    --query '[FunctionVersion, Description]' 2>"$work/error"); then
    grep -q ResourceNotFoundException "$work/error" || die "$(cat "$work/error")"
    return 0
  fi
  local version description
  read -r version description <<<"$answer"
  case $description in
    'before: '*) echo "$version ${description#before: }" ;;
    *) echo "$version" ;;
  esac
}

zipped() {
  case $SOURCE in
    *.zip) cp "$SOURCE" "$work/code.zip" ;;
    *)
      [ -d "$SOURCE" ] || die "SOURCE=$SOURCE is no folder"
      # Sorted, and without times and owners: equal sources make an equal zip, and so no new version.
      cp -R "$SOURCE" "$work/source"
      find "$work/source" -exec touch -h -t 198001010000 {} +
      (cd "$work/source" && find . -type f ! -path './.git/*' | LC_ALL=C sort | TZ=UTC zip -X -q "$work/code.zip" -@)
      ;;
  esac
}

# Tries a version; the answer must be none of an error, and hold EXPECT.
try() {
  local version=$1 failed
  failed=$(aws lambda invoke --function-name "$FUNCTION" --qualifier "$version" --payload "fileb://$work/check.json" \
    --query FunctionError --output text "$work/answer")
  if [ "$failed" != None ]; then
    echo "version $version failed: $(head -c 1000 "$work/answer")" >&2
    return 1
  fi
  if [ -n "$EXPECT" ] && ! grep -qF -- "$EXPECT" "$work/answer"; then
    echo "version $version answered without $EXPECT: $(head -c 1000 "$work/answer")" >&2
    return 1
  fi
}

point_at() {
  local version=$1 before=$2
  if [ -n "$(alias_now)" ]; then
    aws lambda update-alias --function-name "$FUNCTION" --name "$ALIAS" --function-version "$version" \
      --description "${before:+before: $before}" >/dev/null
  else
    aws lambda create-alias --function-name "$FUNCTION" --name "$ALIAS" --function-version "$version" >/dev/null
  fi
}

deploy() {
  : "${BUCKET:?a bucket of the function\'s region}"
  zipped
  local key version now
  key=$FUNCTION/$(sha256sum "$work/code.zip" | cut -c 1-64).zip
  aws s3 cp --only-show-errors "$work/code.zip" "s3://$BUCKET/$key"
  aws lambda update-function-code --function-name "$FUNCTION" --s3-bucket "$BUCKET" --s3-key "$key" >/dev/null ||
    die "$FUNCTION did not take the code"
  aws lambda wait function-updated --function-name "$FUNCTION"
  version=$(aws lambda publish-version --function-name "$FUNCTION" --query Version --output text)
  printf '%s' "$CHECK" >"$work/check.json"
  now=$(alias_now)
  now=${now%% *}
  try "$version" || die "$ALIAS stays at ${now:+version }${now:-nothing}"
  [ "$version" != "$now" ] || { echo "$ALIAS is at version $version already" && return; }
  point_at "$version" "$now"
  echo "$ALIAS is at version $version${now:+, before: $now}"
}

rollback() {
  local now version before
  now=$(alias_now)
  [ -n "$now" ] || die "there is no alias $ALIAS"
  read -r version before <<<"$now"
  [ -n "$before" ] || die "$ALIAS is at version $version, and no version is remembered before it"
  # Nothing is remembered then: a second rollback would lead back to what was just left.
  point_at "$before" ''
  echo "$ALIAS is at version $before again, and no longer at $version"
}

case ${1:-} in
  deploy) deploy ;;
  rollback) rollback ;;
  show) echo "$ALIAS: $(alias_now)" ;;
  *) die "deploy, rollback or show?" ;;
esac
