#!/usr/bin/env bash
# Builds the functions and the runner of another commit of this checkout: other-release.sh COMMIT FOLDER makes FOLDER/source, a
# worktree, and FOLDER/target/release. What others wrote and both commits use is linked from this checkout's builds and not
# built again: cargo knows it by its version, whatever folder it is for.
set -euo pipefail
cd "$(dirname "$0")/.."

commit=$(git rev-parse --verify --quiet "$1^{commit}") || {
  echo "FROM=$1 is no commit of this checkout; in a shallow one: git fetch --unshallow" >&2
  exit 2
}
mkdir -p "$2"
folder=$(cd "$2" && pwd)
if [ -e "$folder/source/.git" ]; then
  git -C "$folder/source" checkout --quiet --force --detach "$commit"
else
  git worktree prune
  git worktree add --quiet --force --detach "$folder/source" "$commit"
fi
if [ ! -d "$folder/target/release/deps" ]; then
  mkdir -p "$folder/target/release"
  cp -al target/release/{deps,build,.fingerprint} "$folder/target/release/"
fi
programs=()
for part in authorizer ingest router provisioner executor claim checkin terminator reconciler runnerless-runner; do
  programs+=(--bin "$part")
done
cd "$folder/source"
CARGO_TARGET_DIR=$folder/target exec cargo build --release --workspace --locked "${programs[@]}"
