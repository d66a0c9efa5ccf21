#!/usr/bin/env bash
# Plays a Lambda function's life by pipelines/lambda.sh on the AWS emulator: first deployment, the next one, one that fails
# its check, one that cannot even be loaded, and the way back. Each step is compared with what it must say and leave.
#
# Usage: try.sh EMULATOR_PYTHON AWS_CLI_FOLDER    (make user-pipeline)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=$(realpath -s "${1:?the Python of the emulator}")
cli=$(realpath "${2:?the folder of the AWS CLI}")
work=$(mktemp -d)
emulator=
end() {
  [ -z "$emulator" ] || { kill "$emulator" && wait "$emulator"; } 2>/dev/null || true
  rm -rf "$work"
}
trap end EXIT
cd "$work"

port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
env -i PATH=/usr/bin:/bin HOME="$work" BIND_HOST=127.0.0.1 GATEWAY_PORT="$port" DOCKER_HOST=unix:///nonexistent SFTP_ENABLED=0 \
  IOT_MTLS_ENABLED=0 "$python" -m ministack >emulator.log 2>&1 &
emulator=$!
export AWS_ENDPOINT_URL=http://127.0.0.1:$port AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION=us-east-1
export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null PATH=$cli:$PATH
curl --silent --fail --retry 60 --retry-delay 1 --retry-connrefused --output /dev/null "$AWS_ENDPOINT_URL/_ministack/ready" || {
  cat emulator.log >&2
  exit 1
}

# What somebody's template made: the function and the bucket.
aws s3 mb s3://artifacts >/dev/null
echo 'def handler(event, context): return {}' >handler.py
zip -q first.zip handler.py
aws lambda create-function --function-name greeter --runtime python3.12 --handler handler.handler \
  --role arn:aws:iam::000000000000:role/greeter --zip-file fileb://first.zip >/dev/null
cp -R "$here/example/src" src
export FUNCTION=greeter BUCKET=artifacts SOURCE=src EXPECT='"ok": true'

# step CODE TEXT WORD: runs lambda.sh WORD, which must end with CODE and say TEXT.
step() {
  local code=0 said
  said=$(bash "$here/lambda.sh" "$3" 2>&1) || code=$?
  if [ "$code" != "$1" ] || ! grep -qF -- "$2" <<<"$said"; then
    printf '%s: exit %s instead of %s, or not: %s\n%s\n' "$3" "$code" "$1" "$2" "$said" >&2
    exit 1
  fi
  echo "ok: $3: $said"
}

# answers TEXT: what callers of the alias get must hold TEXT.
answers() {
  aws lambda invoke --function-name greeter --qualifier live --payload '{"name": "you"}' answer >/dev/null
  grep -qF -- "$1" answer || { echo "callers get $(cat answer) instead of $1" >&2 && exit 1; }
}

step 1 'there is no alias live' rollback
step 0 'live is at version 1' deploy
answers 'hello, you'
sed -i 's/hello/good day/' src/handler.py
step 0 'live is at version 2, before: 1' deploy
answers 'good day, you'
sed -i 's/good day//' src/handler.py
step 1 'live stays at version 2' deploy
answers 'good day, you'
echo 'def handler(' >src/handler.py
step 1 'live stays at version 2' deploy
answers 'good day, you'
step 0 'live is at version 1 again, and no longer at 2' rollback
answers 'hello, you'
step 1 'no version is remembered before it' rollback
FUNCTION=nobody step 1 'ResourceNotFoundException' deploy
echo "a function was deployed, kept from a bad version, and rolled back"
