#!/usr/bin/env bash
# The quick way to try a change: new code for one function of a stack that is there, without CloudFormation. The next
# deployment of the stack puts back what its template says.
#
# Usage: update.sh PART [--stack runnerless] [--zip FILE]
#   PART   the function: executor, router, ...
#   --zip  its code; by default that of this release for the architecture that the function has
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

die() {
  echo "update: $*" >&2
  exit 2
}

part='' stack=runnerless zip=''
while [ $# -gt 0 ]; do
  case $1 in
    --stack) stack=${2:?--stack needs a value} && shift 2 ;;
    --zip) zip=${2:?--zip needs a value} && shift 2 ;;
    [a-z]*) part=$1 && shift ;;
    *) die "$1: a function's part, --stack or --zip" ;;
  esac
done
[ -n "$part" ] || die "which function?"
function=$(aws cloudformation describe-stacks --stack-name "$stack" --output text \
  --query "Stacks[0].Outputs[?OutputKey=='${part^}FunctionName'].OutputValue")
[ -n "$function" ] || die "the stack $stack has no function $part"
architecture=$(aws lambda get-function-configuration --function-name "$function" --query 'Architectures[0]' --output text)
[ -n "$zip" ] || zip=$here/functions/$part-$architecture.zip
[ -r "$zip" ] || die "$zip is not there"
aws lambda update-function-code --function-name "$function" --zip-file "fileb://$zip" --query CodeSha256 --output text
aws lambda wait function-updated-v2 --function-name "$function"
echo "$function has new code"
