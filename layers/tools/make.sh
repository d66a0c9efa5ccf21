#!/usr/bin/env bash
# Makes the tools layer below target/layer: a folder and a zip for each architecture. Nothing is built again while the sources
# of the layer and the compiler are the same.
#
# Usage: make.sh [--is-made] x86_64|arm64...     with --is-made only says, by its exit code, whether they are made
#
# Two at once wait for each other.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(cd "$here/../.." && pwd)"
readonly here root
made="$root/target/layer"
state="$root/.local/layer"
only_ask=
[[ "${1:-}" != --is-made ]] || { only_ask=yes && shift; }
(($#)) || { echo "usage: make.sh [--is-made] x86_64|arm64..." >&2 && exit 2; }

sum() {
  (cd "$root" && sha256sum layers/tools/build.sh layers/tools/sources.txt layers/tools/*.[ch] layers/tools/busybox.config \
    layers/tools/pack.py python/layer.txt) | sha256sum | cut -d ' ' -f 1
}
wanted="$(sum)"

is_made() {
  [[ -d "$made/$1" && -f "$made/tools-$1.zip" && "$(cat "$made/$1.sum" 2>/dev/null)" == "$wanted" ]]
}
if [[ -n "$only_ask" ]]; then
  for architecture; do is_made "$architecture" || exit 1; done
  exit 0
fi

mkdir -p "$made" "$state"
exec 9>"$state/lock"
flock 9
for architecture; do
  is_made "$architecture" && continue
  if [[ "$(cat "$state/venv.sum" 2>/dev/null)" != "$(sha256sum <"$root/python/layer.txt")" ]]; then
    python3 -m venv --clear "$state/venv"
    "$state/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --require-hashes --only-binary :all: -r "$root/python/layer.txt"
    sha256sum <"$root/python/layer.txt" >"$state/venv.sum"
  fi
  zig="$("$state/venv/bin/python" -c 'import pathlib, ziglang; print(pathlib.Path(ziglang.__file__).parent / "zig")')"
  rm -f "$made/$architecture.sum"
  ZIG="$zig" WORK="$state" "$here/build.sh" "$architecture" "$made/$architecture" 9>&-
  python3 "$here/pack.py" "$made/$architecture" "$made/tools-$architecture.zip"
  echo "$wanted" >"$made/$architecture.sum"
  echo "the tools layer for $architecture: $(du -sk "$made/$architecture" | cut -f 1) KiB, zipped $(du -k "$made/tools-$architecture.zip" | cut -f 1) KiB" >&2
done
