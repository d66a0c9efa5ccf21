#!/usr/bin/env bash
# Says of each program which version of the C library it needs: the highest of its symbols, or that it is static.
#
# Usage: glibc.sh [--most 2.34] FILE...     folders are searched; what is no program is passed over
#
# Exit codes: 0 none needs more than --most (2.34, Amazon Linux 2023's), 1 one does, 2 usage or nothing to look at.
set -euo pipefail
export LC_ALL=C
most=2.34
[[ "${1:-}" != --most ]] || { most="${2:-}" && shift 2; }
(($#)) && [[ "$most" =~ ^[0-9]+(\.[0-9]+)+$ ]] || { echo "usage: glibc.sh [--most 2.34] FILE..." >&2 && exit 2; }
readelf="$(command -v readelf || command -v llvm-readelf)" || { echo "glibc.sh: there is no readelf; install binutils" >&2 && exit 2; }

looked=0 code=0
while IFS= read -r -d '' file; do
  [[ "$(head -c 4 "$file" | tr -d '\0')" == $'\x7fELF' ]] || continue
  looked=$((looked + 1))
  highest="$("$readelf" --version-info --wide "$file" 2>/dev/null | grep -o 'GLIBC_[0-9.]*' | sort -u -V | tail -n 1 || true)"
  if [[ -n "$highest" ]]; then
    highest="${highest#GLIBC_}"
    said="glibc $highest"
    if [[ "$(printf '%s\n' "$highest" "$most" | sort -V | tail -n 1)" != "$most" ]]; then
      said+=" (more than $most)"
      code=1
    fi
  elif "$readelf" --program-headers --wide "$file" | grep -q INTERP; then
    said="another C library"
    code=1
  else
    said="static"
  fi
  printf '%-28s %s\n' "$said" "$file"
done < <(find "$@" -type f -print0 | sort -z)
((looked)) || { echo "glibc.sh: there is no program in $*" >&2 && exit 2; }
exit "$code"
