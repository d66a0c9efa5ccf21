#!/usr/bin/env bash
# Makes a root of Debian's own packages, in which the image's script is run. The first process of fresh mount and PID
# namespaces. $1: the folder; it appears when it is complete. Exit code 3: Debian's tools are not here, last line why.
set -euo pipefail
root="$1"
keys=/usr/share/keyrings/debian-archive-keyring.gpg

lack() {
  echo "$1"
  exit 3
}

[[ -r "$keys" ]] || lack "there is no $keys (package debian-archive-keyring)"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
# Only made as a whole: what an interrupted run left is thrown away.
rm -rf --one-file-system "$root.new"
if command -v debootstrap >/dev/null; then
  debootstrap=(debootstrap)
else
  # The package is a shell script with data: it needs no installation.
  [[ -n "$(command -v apt-get)" && -n "$(command -v dpkg-deb)" ]] || lack "there is neither debootstrap nor apt-get"
  # Without lists of its own, as on a new machine, into a folder of ours: the machine's stay as they are.
  ours=(-o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache")
  mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
  get() {
    (cd "$work" && apt-get --quiet=2 "$@" download debootstrap && dpkg-deb --extract debootstrap_*.deb .)
  }
  get || { apt-get --quiet=2 "${ours[@]}" update && get "${ours[@]}"; } || lack "apt-get knows no debootstrap"
  export DEBOOTSTRAP_DIR="$work/usr/share/debootstrap"
  debootstrap=(sh "$work/usr/sbin/debootstrap")
fi
"${debootstrap[@]}" --variant=minbase --include=ca-certificates,curl,systemd "--keyring=$keys" bookworm "$root.new"
# No package may start anything here.
printf '#!/bin/sh\nexit 101\n' >"$root.new/usr/sbin/policy-rc.d"
chmod 755 "$root.new/usr/sbin/policy-rc.d"
mv "$root.new" "$root"
