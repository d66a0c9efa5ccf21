#!/usr/bin/env bash
# Follows the README of a release on the AWS emulator, from an empty folder and without Rust on PATH: the deployment, the
# secrets, a pool beside it, each function once with its event by `cargo lambda invoke`, a webhook, new code for one function,
# the same deployment again, and one of files that were changed. Each step is compared with what it must say and leave.
#
# Usage: try.sh ARCHIVE EMULATOR_PYTHON AWS_CLI_FOLDER CARGO_LAMBDA    (make release-try)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
archive=$(realpath "${1:?the archive, see make package}")
python=$(realpath -s "${2:?the Python of the emulator}")
cli=$(realpath "${3:?the folder of the AWS CLI}")
cargo_lambda=$(realpath "${4:?cargo-lambda}")
machine=$(uname -m)
architecture=${machine/aarch64/arm64}
work=$(mktemp -d)
emulator=
end() {
  [ -z "$emulator" ] || { kill "$emulator" && wait "$emulator"; } 2>/dev/null || true
  rm -rf "$work"
}
trap end EXIT
mkdir "$work/empty" "$work/tmp"
cd "$work/empty"

fail() {
  echo "release: $*" >&2
  exit 1
}

port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
# Functions inherit what it has. It leaves their code in its temporary folder.
env -i PATH=/usr/bin:/bin HOME="$work" TMPDIR="$work/tmp" BIND_HOST=127.0.0.1 GATEWAY_PORT="$port" DOCKER_HOST=unix:///nonexistent SFTP_ENABLED=0 \
  IOT_MTLS_ENABLED=0 AWS_ENDPOINT_URL="http://127.0.0.1:$port" AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test \
  AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1 "$python" -m ministack >../emulator.log 2>&1 &
emulator=$!
export AWS_ENDPOINT_URL=http://127.0.0.1:$port AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION=us-east-1
export AWS_REGION=us-east-1 AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null PATH=$cli:/usr/bin:/bin
curl --silent --fail --retry 60 --retry-delay 1 --retry-connrefused --output /dev/null "$AWS_ENDPOINT_URL/_ministack/ready" || {
  cat ../emulator.log >&2
  exit 1
}
if command -v cargo || command -v rustc; then fail "there is Rust on PATH: nothing would be shown"; fi

# says CODE TEXT COMMAND...: the command ends with CODE and says TEXT.
says() {
  local expected=$1 text=$2 code=0 said
  shift 2
  said=$("$@" 2>&1) || code=$?
  if [ "$code" != "$expected" ] || ! grep -qF -- "$text" <<<"$said"; then
    printf 'release: %s\nexit %s instead of %s, or not: %s\n%s\n' "$*" "$code" "$expected" "$text" "$said" >&2
    exit 1
  fi
  printf 'ok: %s: %s\n' "$(basename "$1") ${*:2:1}" "$(tail -n 1 <<<"$said" | cut -c 1-160)"
}

# As the README says.
tar -xzf "$archive"
cd runnerless-*
[ -z "$(find . -name '*.rs')" ] || fail "the archive has sources"
aws s3 mb s3://my-artifacts >/dev/null
says 0 'deployed runnerless from s3://my-artifacts/runnerless/' \
  ./deploy.sh --bucket my-artifacts GitLabUrl=https://gitlab.acme.example "Architecture=$architecture" ExecutorSandbox=shared
runnerless=bin/runnerless-$architecture
openssl rand -base64 32 | sed 's/^/whsec_/' >signing-token.txt
echo glrt-t3_example >token.txt
says 0 '' "$runnerless" secrets put signing-token --file signing-token.txt --outputs outputs.json
says 0 '' "$runnerless" secrets put runner-token --engine LAMBDA --lane-tags '' --file token.txt --outputs outputs.json

# output NAME [FILE]: what a stack said of itself.
output() { "$python" -c 'import json, sys; print({o["OutputKey"]: o["OutputValue"] for o in json.load(open(sys.argv[2]))["Stacks"][0]["Outputs"]}[sys.argv[1]])' "$1" "${2:-outputs.json}"; }
# answers PART EVENT TEXT [OUTPUTS]: the function answers this event with TEXT, and its code is the archive's.
answers() {
  local name zip sum
  name=$(output "${1^}FunctionName" "${4:-outputs.json}")
  zip=functions/$1-$architecture.zip
  sum=$(aws lambda get-function-configuration --function-name "$name" --query CodeSha256 --output text)
  [ "$sum" = "$(openssl dgst -sha256 -binary "$zip" | base64)" ] || fail "$name does not have the code of $zip"
  printf '%s: ' "$1"
  says 0 "$3" "$cargo_lambda" lambda invoke --remote --endpoint-url "$AWS_ENDPOINT_URL" "$name" \
    --data-file "$here/events/$1/$2.json"
}
answers authorizer no-proof '"isAuthorized": false'
answers ingest job-pending '"statusCode": 401'
answers router route 'there is no row of job'
answers provisioner provision 'there is no launch'
answers claim begin '"gone": true'
answers checkin claim '"statusCode": 403'
answers terminator age-exceeded 'of no launch that we recorded'
answers reconciler dry-run '"live_launches": 0'
answers executor launch '"outcome": "gone"'

network() { aws ec2 describe-subnets --query "Subnets[0].$1" --output text; }
says 2 "--stack is missing" ./deploy.sh --bucket my-artifacts --pool
says 0 'deployed builds from s3://my-artifacts/runnerless/' \
  ./deploy.sh --bucket my-artifacts --pool --stack builds GitLabUrl=https://gitlab.acme.example "Architecture=$architecture" \
  "LedgerTable=$(output LedgerTableName)" "Vpc=$(network VpcId)" "Subnets=$(network SubnetId)"
answers scaler dry-run '"dry_run": true' outputs-builds.json

says 0 "has new code" ./update.sh router
says 0 'deployed runnerless' ./deploy.sh --bucket my-artifacts
echo '# changed' >>template.yaml
says 2 "these files are not the release's" ./deploy.sh --bucket my-artifacts
echo "the release was deployed from an empty folder, and each function answered"
