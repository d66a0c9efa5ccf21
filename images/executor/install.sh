#!/usr/bin/env bash
# Makes an image of Lambda's `provided:al2023` one that jobs of every kind run in: git, git-lfs, ssh, the AWS CLI v2, jq, bash, tar,
# gzip, unzip, zstd, find, which, and a name and a home for Lambda's user.
#
# Usage: install.sh OPTIONS      as root, on Amazon Linux 2023 (or on Debian, where the tests run it)
#
#   --release R            Amazon Linux: the release of its repositories, such as 2023.9.20251117. Debian: its code name
#   --aws-cli-version V    which AWS CLI, such as 2.31.4
#   --aws-cli-sha256 H     the SHA-256 of its zip, as sha256sum prints it
#   --aws-cli-url URL      where the zip is (default, also when empty: AWS's own address of that version)
#
# The zip is fetched and compared before anything is changed. Exit codes: 0 finished, 1 failed work, 2 usage, 3 not this machine,
# 4 the zip could not be fetched.
set -euo pipefail
umask 022
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# Lambda's user. Its functions run as it whatever an image says, and ssh ends for a user who is in no list.
readonly JOB_USER=sbx_user1051 JOB_UID=993 JOB_GID=990
readonly BIN=/usr/local/bin

# Says why and ends: `fail <exit code> <words...>`.
fail() {
  local code="$1"
  shift
  printf 'install.sh: %s\n' "$*" >&2
  exit "$code"
}

declare -A given=([release]='' [aws-cli-version]='' [aws-cli-sha256]='' [aws-cli-url]='')
while (($#)); do
  name="${1#--}"
  [[ "$1" == --* && -v "given[$name]" ]] || fail 2 "$1 is no option; see the head of the script"
  (($# > 1)) || fail 2 "--$name has no value"
  given[$name]="$2"
  shift 2
done
[[ "${given[release]}" =~ ^[0-9a-z.]+$ ]] ||
  fail 2 "--release cannot be '${given[release]}': give the release of the repositories, such as 2023.9.20251117 (build argument RELEASE)"
[[ "${given[aws-cli-version]}" =~ ^[0-9]+(\.[0-9]+)+$ ]] ||
  fail 2 "--aws-cli-version cannot be '${given[aws-cli-version]}': give a version, such as 2.31.4 (build argument AWS_CLI_VERSION)"
[[ "${given[aws-cli-sha256]}" =~ ^[0-9a-f]{64}$ ]] ||
  fail 2 "--aws-cli-sha256 cannot be '${given[aws-cli-sha256]}': give what sha256sum prints for the zip (build argument AWS_CLI_SHA256)"
[[ -z "${given[aws-cli-url]}" || "${given[aws-cli-url]}" =~ ^(https?://|file:///)[^[:space:]]+$ ]] ||
  fail 2 "--aws-cli-url cannot be '${given[aws-cli-url]}': give an address that starts with https:// or file:/// (build argument AWS_CLI_URL)"

((EUID == 0)) || fail 3 "only root can make an image"
[[ -r /etc/os-release ]] || fail 3 "there is no /etc/os-release; start from public.ecr.aws/lambda/provided:al2023"
# shellcheck source=/dev/null
distribution="$(. /etc/os-release && printf '%s:%s' "${ID:-}" "${VERSION_CODENAME:-${VERSION_ID:-}}")"
case "$distribution" in
  amzn:2023)
    [[ "${given[release]}" =~ ^2023\.[0-9]+\.[0-9]{8}$ ]] ||
      fail 2 "--release cannot be '${given[release]}': give a release such as 2023.9.20251117 ('latest' would pin nothing)"
    ;;
  "debian:${given[release]}") ;;
  *) fail 3 "this is '$distribution', which is not supported; start from public.ecr.aws/lambda/provided:al2023" ;;
esac
case "$(uname -m)" in
  x86_64 | aarch64) ;;
  *) fail 3 "there is no AWS CLI for $(uname -m); use x86_64 or arm64" ;;
esac

folder="$(mktemp -d /var/tmp/runnerless-image.XXXXXXXX)"
trap 'rm -rf "$folder"' EXIT
url="${given[aws-cli-url]:-https://awscli.amazonaws.com/awscli-exe-linux-$(uname -m)-${given[aws-cli-version]}.zip}"
# Plain HTTP is good enough: the sum decides what is installed, not the way.
curl --fail --silent --show-error --location --proto '=https,http,file' --retry 3 --connect-timeout 20 --max-time 900 \
  --output "$folder/aws-cli.zip" -- "$url" || fail 4 "$url could not be fetched; check the version. Nothing was changed"
echo "${given[aws-cli-sha256]}  $folder/aws-cli.zip" | sha256sum --check --status ||
  fail 1 "$url has another SHA-256 than --aws-cli-sha256 says: give the sum of the version that you trust, or find out who changed the file. Nothing was changed"

# The distribution's own packages: pinned by the release of its repositories, proved by its signatures.
packages=(git git-lfs jq tar gzip unzip zstd findutils diffutils patch)
case "$distribution" in
  amzn:*)
    # The small image has microdnf under the name dnf, which takes these options as well.
    dnf --assumeyes --releasever="${given[release]}" --setopt=gpgcheck=1 --setopt=install_weak_deps=0 install \
      "${packages[@]}" bash openssh-clients procps-ng which shadow-utils
    dnf clean all
    ;;
  debian:*)
    export DEBIAN_FRONTEND=noninteractive
    apt-get --yes --quiet=2 -o APT::Update::Error-Mode=any update
    apt-get --yes --quiet=2 -o Dpkg::Use-Pty=0 install --no-install-recommends "${packages[@]}" bash openssh-client procps ca-certificates
    apt-get clean
    rm -rf /var/lib/apt/lists/*
    ;;
esac >&2
git lfs install --system --skip-repo >&2

unzip -q "$folder/aws-cli.zip" -d "$folder/aws-cli" || fail 1 "the AWS CLI's zip cannot be unpacked; check --aws-cli-url"
"$folder/aws-cli/aws/install" --bin-dir "$BIN" --install-dir /usr/local/aws-cli >&2

# Written and not added by useradd: the number must be Lambda's, whatever the image's own users are.
grep -q "^[^:]*:[^:]*:$JOB_GID:" /etc/group || echo "$JOB_USER:x:$JOB_GID:" >>/etc/group
grep -q "^[^:]*:[^:]*:$JOB_UID:" /etc/passwd ||
  echo "$JOB_USER:x:$JOB_UID:$JOB_GID:Lambda:/home/$JOB_USER:/bin/bash" >>/etc/passwd
home="$(awk -F: -v uid="$JOB_UID" '$3 == uid { print $6; exit }' /etc/passwd)"
mkdir -p "$home"
chown "$JOB_UID:$JOB_GID" "$home"

# The image is asked, not the steps before: a step that did nothing does not count.
for tool in git git-lfs ssh jq tar gzip unzip zstd find xargs diff patch ps which bash curl; do
  command -v "$tool" >/dev/null || fail 1 "the image is NOT finished: it has no $tool"
done
[[ "$("$BIN/aws" --version 2>&1)" == *"aws-cli/${given[aws-cli-version]} "* ]] ||
  fail 1 "the image is NOT finished: the AWS CLI is another than ${given[aws-cli-version]}"
printf 'install.sh: finished\n' >&2
