#!/usr/bin/env bash
# Makes a root with no more than Lambda's `provided.al2023` has, of Debian's packages: bash, coreutils, curl, grep, sed, awk.
# $1: the folder, which appears when it is complete. Exit code 3: Debian's tools are not here, last line why.
set -euo pipefail
umask 022
root="$1"
keys=/usr/share/keyrings/debian-archive-keyring.gpg
release=bookworm

lack() {
  echo "$1"
  exit 3
}

[[ -r "$keys" ]] || lack "there is no $keys (package debian-archive-keyring)"
[[ -n "$(command -v apt-get)" && -n "$(command -v dpkg-deb)" ]] || lack "there is no apt-get with dpkg-deb"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
# Lists of its own, of the one release: whatever this machine's are, they stay as they are.
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/packages"
: >"$work/status"
printf 'deb [signed-by=%s] %s %s main\n' "$keys" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" "$release" >"$work/sources.list"
cat >"$work/apt.conf" <<CONF
Dir::State::lists "$work/lists";
Dir::State::status "$work/status";
Dir::Cache "$work/cache";
Dir::Etc::sourcelist "$work/sources.list";
Dir::Etc::sourceparts "-";
APT::Sandbox::User "";
Acquire::Languages "none";
CONF
export APT_CONFIG="$work/apt.conf"
apt-get --quiet=2 update || lack "Debian's archive cannot be read"
# The commands, and the libraries that these need. No dpkg, tar, gzip, find, git, perl or python.
packages=(
  base-files bash coreutils curl gawk grep sed ca-certificates
  libacl1 libattr1 libbrotli1 libc6 libcom-err2 libcurl4 libffi8 libgcc-s1 libgmp10 libgnutls30 libgssapi-krb5-2 libhogweed6
  libidn2-0 libk5crypto3 libkeyutils1 libkrb5-3 libkrb5support0 libldap-2.5-0 libmpfr6 libnettle8 libnghttp2-14 libp11-kit0
  libpcre2-8-0 libpsl5 libreadline8 librtmp1 libsasl2-2 libselinux1 libsigsegv2 libssh2-1 libssl3 libtasn1-6 libtinfo6
  libunistring2 libzstd1 zlib1g
)
(cd "$work/packages" && apt-get --quiet=2 download "${packages[@]}") || lack "Debian's archive lacks a package"
rm -rf --one-file-system "$root.new"
mkdir -p "$root.new"
# As on Amazon Linux: one folder for programs and one for libraries, with links to them.
mkdir -p "$root.new/usr/bin" "$root.new/usr/sbin" "$root.new/usr/lib" "$root.new/usr/lib64"
for name in bin sbin lib lib64; do ln -s "usr/$name" "$root.new/$name"; done
for package in "$work/packages/"*.deb; do
  dpkg-deb --fsys-tarfile "$package" | tar --extract --directory "$root.new" --keep-directory-symlink --no-same-owner
done

cd "$root.new"
# The roots of trust where Amazon Linux has them.
mkdir -p etc/pki/tls/certs
cat usr/share/ca-certificates/mozilla/*.crt >etc/pki/tls/certs/ca-bundle.crt
rm -rf usr/share/ca-certificates usr/sbin/update-ca-certificates usr/share/doc usr/share/man usr/share/info usr/share/locale \
  usr/share/lintian var/lib/dpkg usr/bin/bashbug usr/bin/clear_console usr/bin/gawkbug home media mnt srv root boot
rm -f usr/bin/awk
ln -s gawk usr/bin/awk
ln -s bash usr/bin/sh
# Nobody of Lambda's user's number.
printf 'root:x:0:0:root:/root:/bin/bash\nnobody:x:99:99:Nobody:/:/sbin/nologin\n' >etc/passwd
printf 'root:x:0:\nnobody:x:99:\n' >etc/group
printf 'passwd: files\ngroup: files\nhosts: files dns\n' >etc/nsswitch.conf
printf '127.0.0.1 localhost\n' >etc/hosts
: >etc/resolv.conf
printf '# Lambda sets the environment.\n' >etc/profile
# Where file systems are mounted, see enter.sh.
rm -rf dev proc sys run tmp opt var/task
mkdir -p dev proc run tmp opt var/task var/runtime var/tmp
mv "$root.new" "$root"
