#!/usr/bin/env bash
# Deploys this release: uploads its zips, and makes or updates the stack. It needs the AWS CLI and rights, and nothing else.
#
# Usage: deploy.sh --bucket BUCKET [--stack runnerless] [--pool] [Parameter=value ...]
#   --bucket  a bucket of the stack's region for the code; a folder of it is named by the release's content
#   --pool    a pool (pool/template.yaml) instead of the main stack; --stack is its name then, and has no default
#   Parameter=value  parameters of the template, GitLabUrl before all; an update keeps those that are not named
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

die() {
  echo "deploy: $*" >&2
  exit 2
}

bucket='' stack='' template=template.yaml parameters=()
while [ $# -gt 0 ]; do
  case $1 in
    --bucket) bucket=${2:?--bucket needs a value} && shift 2 ;;
    --stack) stack=${2:?--stack needs a value} && shift 2 ;;
    --pool) template=pool/template.yaml && shift ;;
    [A-Z]*=*) parameters+=("$1") && shift ;;
    *) die "$1: --bucket, --stack, --pool or Parameter=value" ;;
  esac
done
[ -n "$bucket" ] || die "--bucket is missing"
outputs=outputs.json
if [ $template = pool/template.yaml ]; then
  [ -n "$stack" ] || die "--stack is missing: a pool's stack, and its group, have the name that it says"
  outputs=outputs-$stack.json
fi
stack=${stack:-runnerless}
command -v aws >/dev/null || die "the AWS CLI is missing"
cd "$here"
sha256sum --quiet --check SHA256SUMS || die "these files are not the release's"

# Named by its content: another release never takes the place of code that a stack may go back to.
prefix=runnerless/$(sha256sum SHA256SUMS | cut -c 1-16)
aws s3 sync functions "s3://$bucket/$prefix" --only-show-errors
# Larger than what CloudFormation takes directly: it goes through the bucket, too.
aws cloudformation deploy --stack-name "$stack" --template-file $template --s3-bucket "$bucket" --s3-prefix "$prefix" \
  --capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND --no-fail-on-empty-changeset \
  --parameter-overrides "ArtifactBucket=$bucket" "ArtifactPrefix=$prefix" "${parameters[@]}"
aws cloudformation describe-stacks --stack-name "$stack" >"$outputs"
echo "deployed $stack from s3://$bucket/$prefix; its outputs are in $here/$outputs"
