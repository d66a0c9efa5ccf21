#!/usr/bin/env bash
# Builds everything for Lambda and puts it into a release archive: the functions of one or both architectures as zips, the
# template that points at them, and the commands, so that who deploys needs no Rust.
#
# Usage: package.sh [x86_64] [arm64]    (both when none is named)
# Output: target/package/runnerless-<version>.tar.gz, its sum beside it, and a line for each binary: size and the newest
# glibc symbol that it needs. cargo-lambda and zig come from python/package.txt (`make package` installs them).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Amazon Linux 2023, and with it provided.al2023.
readonly NEWEST_GLIBC=2.34
readonly LAMBDA_LIMIT=52428800 # bytes of a zip that is uploaded directly
readonly TOOLS=.local/package/bin
readonly OUT=target/package

die() {
  echo "package: $*" >&2
  exit 1
}

architectures=("$@")
[ $# -gt 0 ] || architectures=(x86_64 arm64)
for architecture in "${architectures[@]}"; do
  case $architecture in x86_64 | arm64) ;; *) die "architecture $architecture: x86_64 or arm64" ;; esac
done
[ -x $TOOLS/cargo-lambda ] || die "$TOOLS/cargo-lambda is missing: run make package"
mapfile -t parts < <(sed -n 's/.*BuildMethod: rust-cargolambda, BuildProperties: {Binary: \([a-z-]*\)}.*/\1/p' template.yaml pool/template.yaml)
[ ${#parts[@]} -gt 0 ] || die "the templates name no function"
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' Cargo.toml)
readonly commands=(runnerless runnerless-runner runnerless-member)

root=$OUT/runnerless-$version
rm -rf "$root"
mkdir -p "$root/functions" "$root/bin" "$root/pool" "$root/ami" "$root/network"

# Refuses what would not start in Lambda, and says the rest.
check() {
  local name=$1 binary=$2 said
  said=$(layers/glibc.sh --most $NEWEST_GLIBC "$binary") || die "$name does not start in Lambda: $said"
  [[ $said == glibc\ * ]] || die "$name: no symbol of glibc is named: $said"
  echo "$name: $(stat -c %s "$binary") bytes, ${said%% *} $(cut -d ' ' -f 2 <<<"$said")"
}

for architecture in "${architectures[@]}"; do
  began=$SECONDS
  flag=--x86-64
  triple=x86_64-unknown-linux-gnu
  [ "$architecture" = x86_64 ] || { flag=--arm64 triple=aarch64-unknown-linux-gnu; }
  if command -v rustup >/dev/null && ! rustup target list --installed | grep -qx "$triple"; then
    rustup target add "$triple" || die "the standard library for $triple cannot be fetched: rustup target add $triple"
  fi
  built=$OUT/$architecture
  names=()
  for name in "${parts[@]}" "${commands[@]}"; do names+=(--bin "$name"); done
  # The profile that is tested, without the link-time optimisation that cargo-lambda would add to it for minutes more, and a
  # folder of its own: what the other builds made stays.
  PATH=$PWD/$TOOLS:$PATH CARGO_TARGET_DIR=$PWD/target/lambda-build cargo lambda build --release --disable-optimizations --locked \
    --workspace $flag --lambda-dir "$built" "${names[@]}"
  for name in "${parts[@]}"; do
    check "$architecture $name" "$built/$name/bootstrap"
    zip=$root/functions/$name-$architecture.zip
    python3 helper-scripts/zip.py "$zip" "$built/$name/bootstrap"
    [ "$(stat -c %s "$zip")" -lt $LAMBDA_LIMIT ] || die "$zip is larger than Lambda takes"
  done
  for name in "${commands[@]}"; do
    check "$architecture $name" "$built/$name/bootstrap"
    install -m 0755 "$built/$name/bootstrap" "$root/bin/$name-$architecture"
  done
  # The template names both, and uploads the one that it needs.
  layers/tools/make.sh "$architecture"
  cp "target/layer/tools-$architecture.zip" "$root/functions/"
  echo "$architecture: ${#parts[@]} functions, built in $((SECONDS - began)) s"
done

python3 helper-scripts/release.py >"$root/template.yaml"
python3 helper-scripts/release.py --template pool/template.yaml >"$root/pool/template.yaml"
cp statemachines/*.asl.json "$root/functions/"
cp network/template.yaml "$root/network/"
cp ami/provision.sh ami/template.yaml "$root/ami/"
cp LICENSE CHANGELOG.md "$root/"
install -m 0755 release/deploy.sh release/update.sh "$root/"
cp release/README.md "$root/"
sums=$(cd "$root" && find . -type f -print0 | sort -z | xargs -0 sha256sum)
echo "$sums" >"$root/SHA256SUMS"
archive=runnerless-$version.tar.gz
# The same files make the same archive.
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C $OUT -cf - "runnerless-$version" | gzip -n >"$OUT/$archive"
(cd $OUT && sha256sum "$archive" >"$archive.sha256")
echo "$OUT/$archive: $(stat -c %s "$OUT/$archive") bytes"
