#!/usr/bin/env bash
# Builds the layer with the tools that jobs find on Lambda: static programs for one architecture.
#
# Usage: build.sh x86_64|arm64 FOLDER      the folder appears when it is complete; what was there is replaced
#
# Environment:
#   ZIG             the compiler, one program that targets both architectures (see python/layer.in)
#   WORK            where downloads, the compiler's cache and half-made things are
#   DEBIAN_MIRROR   Debian's archive (default: http://deb.debian.org/debian)
#
# Everything is fetched and compared with sources.txt before anything is built. The same sources and compiler make the same
# bytes, wherever they are built. Exit codes: 0 built, 1 failed work, 2 usage, 4 something could not be fetched.
# shellcheck disable=SC2086,SC2030,SC2031 # flags are words; each configure has an environment of its own
set -euo pipefail
umask 022
export LC_ALL=C TZ=UTC SOURCE_DATE_EPOCH=315532800

fail() {
  local code="$1"
  shift
  printf 'build.sh: %s\n' "$*" >&2
  exit "$code"
}

usage="usage: build.sh x86_64|arm64 FOLDER, with ZIG and WORK in the environment"
(($# == 2)) || fail 2 "$usage"
case "$1" in
  x86_64) machine=x86_64 ;;
  arm64) machine=aarch64 ;;
  *) fail 2 "$1 is no architecture of Lambda; $usage" ;;
esac
[[ -x "${ZIG:-}" ]] || fail 2 "ZIG='${ZIG:-}' is no program; $usage"
[[ -n "${WORK:-}" ]] || fail 2 "WORK is missing; $usage"
for tool in curl make sha256sum tar bzip2 xz sed awk cc; do
  command -v "$tool" >/dev/null || fail 2 "this machine has no $tool, which the build needs; install it (Debian: build-essential curl bzip2 xz-utils)"
done
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
mkdir -p "$WORK/downloads"
WORK="$(cd "$WORK" && pwd)"
folder="$2"
readonly target="$machine-linux-musl" here folder
# Where the layer is on Lambda.
readonly prefix=/opt

# ------------------------------------------------------------------------------------------------------ The sources

debian="${DEBIAN_MIRROR:-http://deb.debian.org/debian}"
snapshot=https://snapshot.debian.org/archive/debian/20261129T000000Z

matches() {
  [[ -f "$2" ]] && echo "$1  $2" | sha256sum --check --status
}

# fetch NAME SUM ADDRESS...: into $WORK/downloads/NAME.
fetch() {
  local name="$1" sum="$2" file="$WORK/downloads/$1" address
  shift 2
  matches "$sum" "$file" && return
  for address; do
    address="${address/\{debian\}/$debian}"
    address="${address/\{snapshot\}/$snapshot}"
    printf 'build.sh: fetching %s\n' "$address" >&2
    curl --fail --silent --show-error --location --retry 2 --connect-timeout 20 --max-time 600 --output "$file.new" "$address" || continue
    if matches "$sum" "$file.new"; then
      mv "$file.new" "$file"
      return
    fi
    printf 'build.sh: %s is another file than sources.txt says\n' "$address" >&2
  done
  fail 4 "$name could not be fetched; give DEBIAN_MIRROR, or put the file with the sum $sum at $file"
}

while read -r name sum addresses; do
  [[ "$name" == \#* || -z "$name" ]] && continue
  # shellcheck disable=SC2086 # words: an address has no blanks
  fetch "$name" "$sum" $addresses
done <"$here/sources.txt"

# ----------------------------------------------------------------------------------------------------- The compiler

build="$WORK/build-$machine"
rm -rf "$build"
mkdir -p "$build/bin" "$build/lib" "$build/include" "$build/layer/bin" "$build/layer/libexec/git-core" "$build/layer/share"
export ZIG_GLOBAL_CACHE_DIR="$WORK/zig" ZIG_LOCAL_CACHE_DIR="$WORK/zig"
for tool in ar ranlib; do
  printf '#!/bin/sh\nexec "%s" %s "$@"\n' "$ZIG" "$tool" >"$build/bin/$tool"
done
# What the compiler is told of paths is the same wherever the build is.
printf '#!/bin/sh\nexec "%s" cc -target %s "-ffile-prefix-map=%s=." "$@"\n' "$ZIG" "$target" "$build" >"$build/bin/cc"
chmod 755 "$build/bin/"*
readonly cc="$build/bin/cc" ar="$build/bin/ar"
# zig checks for undefined behaviour unless it is told not to, which is for developers of what is built.
readonly flags="-Os -g0 -fno-sanitize=undefined -ffunction-sections -fdata-sections -fstack-protector-strong -D_FORTIFY_SOURCE=2"
readonly link="-static -s -Wl,--gc-sections"
jobs="$(nproc)"

unpack() {
  mkdir -p "$build/$1"
  tar --extract --file "$WORK/downloads/$1" --directory "$build/$1" --strip-components=1 --no-same-owner
}

# library NAME FOLDER FLAGS FILE...: compiles files of a folder into a library.
library() {
  local name="$1" from="$2" more="$3"
  shift 3
  mkdir -p "$build/objects/$name"
  # shellcheck disable=SC2016 # for the other shell
  (cd "$from" && printf '%s\n' "$@" | CC="$cc" FLAGS="$flags $more" OBJECTS="$build/objects/$name" xargs -P "$jobs" -n 1 sh -c \
    'exec $CC $FLAGS -c "$1" -o "$OBJECTS/$(printf %s "$1" | tr / _).o"' compile) ||
    fail 1 "$name does not compile"
  (cd "$build/objects/$name" && "$ar" rcsD "$build/lib/lib$name.a" ./*.o)
}

# logged NAME WORDS...: runs a command whose words are for people who look for the reason of a failure.
logged() {
  local name="$1" log="$build/$1.log"
  shift
  "$@" >"$log" 2>&1 || { tail -n 40 "$log" >&2 && fail 1 "the step $name failed; its words are in $log"; }
}

# ---------------------------------------------------------------------------------------------------------- The TLS

unpack zlib
zlib="$build/zlib/src/zlib"
library zlib "$zlib" "-DHAVE_UNISTD_H -D_LARGEFILE64_SOURCE=1" \
  adler32.c compress.c crc32.c deflate.c gzclose.c gzlib.c gzread.c gzwrite.c infback.c inffast.c inflate.c inftrees.c trees.c uncompr.c zutil.c
mv "$build/lib/libzlib.a" "$build/lib/libz.a"
cp "$zlib/zlib.h" "$zlib/zconf.h" "$build/include"

unpack mbedtls
cp -R "$build/mbedtls/include/." "$build/include"
mapfile -t files < <(cd "$build/mbedtls/library" && printf '%s\n' *.c)
library mbedtls "$build/mbedtls/library" "-I../include -I." "${files[@]}"

unpack curl
cp "$here/curl_config.h" "$build/curl/curl/lib/curl_config.h"
cp -R "$build/curl/curl/include/curl" "$build/include"
mapfile -t files < <(cd "$build/curl/curl/lib" && find . -name '*.c' -printf '%P\n' | sort)
library curl "$build/curl/curl/lib" "-DHAVE_CONFIG_H -DBUILDING_LIBCURL -DCURL_STATICLIB -I. -I$build/include -Wno-everything" "${files[@]}"

# ---------------------------------------------------------------------------------------------------------- The git

unpack git
shell=(git-submodule git-sh-setup git-sh-i18n git-filter-branch git-merge-one-file)
logged git make -C "$build/git" --jobs="$jobs" CC="$cc" AR="$ar" CFLAGS="$flags -DCURL_STATICLIB -I$build/include" LDFLAGS="$link -L$build/lib" \
  uname_S=Linux "uname_M=$machine" uname_R=6 uname_O=GNU/Linux uname_P=unknown \
  prefix="$prefix" gitexecdir="$prefix/libexec/git-core" template_dir="$prefix/share/git-core/templates" sysconfdir=/etc \
  NO_PERL=1 NO_PYTHON=1 NO_TCLTK=1 NO_GETTEXT=1 NO_EXPAT=1 NO_OPENSSL=1 NO_REGEX=NeedsStartEnd ICONV_OMITS_BOM=1 \
  SHELL_PATH=/bin/sh CURL_CONFIG=false CURL_CFLAGS= CURL_LDFLAGS="-lcurl -lmbedtls -lz" \
  git git-remote-http git-sh-i18n--envsubst "${shell[@]}"
logged git-templates make -C "$build/git/templates" SHELL_PATH=/bin/sh template_dir="$prefix/share/git-core/templates"
cp "$build/git/git" "$build/layer/bin/git"
for name in git-remote-http git-sh-i18n--envsubst "${shell[@]}"; do cp "$build/git/$name" "$build/layer/libexec/git-core/$name"; done
mkdir -p "$build/layer/share/git-core"
cp -R "$build/git/templates/blt" "$build/layer/share/git-core/templates"
# Examples of hooks: nothing reads them.
rm -f "$build/layer/share/git-core/templates/hooks/"*.sample

# Links would become copies where a folder is packed by a program that follows them. wrapper FILE PROGRAM WORDS...: the program
# as seen from the file's folder.
wrapper() {
  local file="$build/layer/$1" program="$2"
  shift 2
  # shellcheck disable=SC2016 # for the other shell
  printf '#!/bin/sh\nexec "${0%%/*}/%s"%s "$@"\n' "$program" "${*:+ $*}" >"$file"
  chmod 755 "$file"
}
wrapper libexec/git-core/git-remote-https git-remote-http
for name in upload-pack receive-pack upload-archive; do wrapper "bin/git-$name" git "$name"; done

# -------------------------------------------------------------------------------------------------- The small tools

unpack busybox
logged busybox-none make -C "$build/busybox" allnoconfig
# The first value of a name counts.
{ cat "$here/busybox.config" "$build/busybox/.config"; } | awk -F'[= ]' '
  /^CONFIG_/ { name = $1 } /^# CONFIG_/ { name = $2 } !/CONFIG_/ { next } /^# [^C]/ { next } !seen[name]++' >"$build/busybox/.config.new"
mv "$build/busybox/.config.new" "$build/busybox/.config"
yes '' 2>/dev/null | logged busybox-config make -C "$build/busybox" oldconfig || true
while read -r line; do
  [[ "$line" != CONFIG_* ]] || grep -qxF "$line" "$build/busybox/.config" || fail 1 "BusyBox does not know $line of busybox.config"
done <"$here/busybox.config"
# Its own link step looks for options of GNU's linker; the libraries are what is wanted of it.
make -C "$build/busybox" --jobs="$jobs" CC="$cc" HOSTCC=cc AR="$ar" STRIP=true CFLAGS="$flags -Wno-everything" busybox_unstripped >"$build/busybox.log" 2>&1 || true
mapfile -t archives < <(cd "$build/busybox" && find . -name 'lib.a' -o -name 'built-in.o' | sort)
(cd "$build/busybox" && logged busybox-link "$cc" $link -o busybox -Wl,--start-group "${archives[@]}" -Wl,--end-group -lm)
mkdir -p "$build/layer/libexec"
cp "$build/busybox/busybox" "$build/layer/libexec/busybox"
for name in tar gzip gunzip zcat bzip2 bunzip2 bzcat xz unxz xzcat unzip find xargs which diff cmp patch ps pgrep pkill hostname xxd less; do
  wrapper "bin/$name" ../libexec/busybox "$name"
done

# --------------------------------------------------------------------------------------------------------------- jq

unpack jq
mkdir -p "$build/jq/jq"
tar --extract --file "$(printf '%s\n' "$build"/jq/deps/jq-*.tar.gz)" --directory "$build/jq/jq" --strip-components=1 --no-same-owner
(
  cd "$build/jq/jq"
  export CC="$cc" AR="$ar" RANLIB="$build/bin/ranlib" CFLAGS="$flags" LDFLAGS="$link"
  logged jq-configure ./configure --host="$target" --build="$(cc -dumpmachine)" --with-oniguruma=builtin --disable-docs --disable-maintainer-mode --disable-shared --enable-static
  logged oniguruma make --jobs="$jobs" -C vendor/oniguruma
  logged jq-generated make src/builtin.inc src/config_opts.inc src/version.h
  # `jq --build-configuration` tells of it: with what it was built, and not where.
  sed -i "s#$build/##g" src/config_opts.inc
  logged jq make --jobs="$jobs" jq
)
cp "$build/jq/jq/jq" "$build/layer/bin/jq"

# -------------------------------------------------------------------------------------------------------------- ssh

unpack openssh
"$cc" $flags -c "$here/passwd.c" -o "$build/passwd.o"
(
  cd "$build/openssh"
  export CC="$cc" AR="$ar" CFLAGS="$flags" LDFLAGS="$link"
  logged openssh-configure ./configure --host="$target" --build="$(cc -dumpmachine)" --prefix="$prefix" --sysconfdir=/etc/ssh \
    --without-openssl --without-zlib --without-pie --disable-security-key --disable-pkcs11 --disable-lastlog --disable-utmp --disable-wtmp --disable-strip
  logged openssh make --jobs="$jobs" CFLAGS="$flags -Dgetpwuid=listed_or_own" LIBS="$build/passwd.o" ssh ssh-add ssh-agent ssh-keygen ssh-keyscan scp sftp
)
for name in ssh ssh-add ssh-agent ssh-keygen ssh-keyscan scp sftp; do cp "$build/openssh/$name" "$build/layer/bin/$name"; done

# ------------------------------------------------------------------------------------------------------ The licences

licences="$build/layer/share/licenses/runnerless-tools"
mkdir -p "$licences"
cp "$here/sources.txt" "$licences/sources.txt"
cp "$build/git/COPYING" "$licences/git"
cp "$build/mbedtls/LICENSE" "$licences/mbedtls"
cp "$build/busybox/LICENSE" "$licences/busybox"
cp "$build/openssh/LICENCE" "$licences/openssh"
cp "$build/curl/curl/COPYING" "$licences/curl"
cp "$build/jq/jq/COPYING" "$licences/jq"
sed -n '/Copyright/,/\*\//p' "$zlib/zlib.h" | sed -n '1,/\*\//p' >"$licences/zlib"

# Two builds in two places are to be equal, and no user is to read where this one was made.
placed="$(grep --recursive --files-with-matches --fixed-strings --regexp="$WORK" "$build/layer" || true)"
[[ -z "$placed" ]] || fail 1 "these name the folder that they were built in: $placed"

find "$build/layer" -type d -exec chmod 755 {} +
rm -rf "$folder.old"
[[ ! -e "$folder" ]] || mv "$folder" "$folder.old"
mkdir -p "$(dirname "$folder")"
mv "$build/layer" "$folder"
rm -rf "$folder.old" "$build"
