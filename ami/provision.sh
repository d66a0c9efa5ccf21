#!/usr/bin/env bash
# Makes this machine the image of Runnerless's EC2 runners: git, git-lfs, docker with buildx, AWS CLI v2, jq and our
# runner, the user that jobs run as, limits for logs; and nothing that two instances must not share. With the two groups of
# options at the end it is the image of a pool's members.
#
# Usage: provision.sh OPTIONS      as root, on Amazon Linux 2023 (or on Debian, where the tests run it)
#
#   --release R            Amazon Linux: the release of its repositories, such as 2023.9.20251117. Debian: its code name
#   --runner-url URL       where runnerless-runner is: https://..., or file:///... when it is here already
#   --runner-version V     what it must say of itself
#   --runner-sha256 H      its SHA-256, as sha256sum prints it
#   --aws-cli-version V    which AWS CLI, such as 2.31.4
#   --aws-cli-sha256 H     the SHA-256 of its zip
#   --aws-cli-url URL      where the zip is (default: AWS's own address of that version)
#   --buildx-version V     which docker buildx, such as 0.30.1
#   --buildx-sha256 H      the SHA-256 of its binary
#   --buildx-url URL       where the binary is (default: its project's own address of that version)
#
# A pool's member lets its jobs end by runnerless-member. Give all three, or none:
#
#   --member-url URL       where it is: https://..., or file:///... when it is here already
#   --member-version V     what it must say of itself
#   --member-sha256 H      its SHA-256
#
# It runs jobs by the official gitlab-runner, and so do instances with Ec2Runner. Give version and sum, or none:
#
#   --gitlab-runner-version V  which gitlab-runner, such as 19.4.0
#   --gitlab-runner-sha256 H   the SHA-256 of its binary
#   --gitlab-runner-url URL    where the binary is (default: GitLab's own address of that version)
#
# Everything is fetched and compared before anything is changed. A second run ends with the same machine. The options alone
# say what it ends with: runnerless-member and gitlab-runner in /usr/local/bin are removed when they are not asked for. What
# the image holds is in /etc/runnerless-image.json, which is written last: without it the image is not finished.
#
# Exit codes: 0 finished, 1 failed work, 2 usage, 3 not this machine, 4 something could not be fetched.
set -euo pipefail
umask 022
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

readonly STATEMENT=/etc/runnerless-image.json
readonly JOB_USER=runnerless
# Where the runner looks for a job's commands, and so where ours must be.
readonly BIN=/usr/local/bin
readonly PLUGINS=/usr/local/lib/docker/cli-plugins
# What is fetched, by the names of its options; and which of it only some images have.
declare -rA PROGRAMS=(
  [runner]=runnerless-runner [aws-cli]=aws-cli [buildx]=docker-buildx [member]=runnerless-member [gitlab-runner]=gitlab-runner
)
readonly POOL=(member gitlab-runner)

# Says why and ends: `fail <exit code> <words...>`.
fail() {
  local code="$1"
  shift
  printf 'provision.sh: %s\n' "$*" >&2
  exit "$code"
}

say() {
  printf 'provision.sh: %s\n' "$*" >&2
}

# Prints the comment at the head of the script, which is its help.
usage() {
  sed -n '2,/^[^#]/{s/^# \{0,1\}//;t print;d;:print;p}' "$0"
}

# ------------------------------------------------------------------------------------------------ What is asked for

# Each option with what it is for, in words that end a sentence about it.
declare -rA MANDATORY=(
  [release]='the release of the distribution, such as 2023.9.20251117; cat /etc/os-release shows the present one'
  [runner-url]='the address of runnerless-runner, such as file:///tmp/runnerless-runner'
  [runner-version]='the version that runnerless-runner --version prints'
  [runner-sha256]='what sha256sum prints for runnerless-runner'
  [aws-cli-version]='the version of the AWS CLI to install, such as 2.31.4'
  [aws-cli-sha256]='what sha256sum prints for the zip of that version'
  [buildx-version]='the version of docker buildx to install, such as 0.30.1'
  [buildx-sha256]='what sha256sum prints for the binary of that version'
)
readonly ORDER=(release runner-url runner-version runner-sha256 aws-cli-version aws-cli-sha256 buildx-version buildx-sha256)
# The same of what only some images have. Each of the two groups is there wholly, or not at all.
declare -rA GROUPED=(
  [member-url]='the address of runnerless-member, such as file:///tmp/runnerless-member'
  [member-version]='the version that runnerless-member --version prints'
  [member-sha256]='what sha256sum prints for runnerless-member'
  [gitlab-runner-version]='the version of gitlab-runner to install, such as 19.4.0'
  [gitlab-runner-sha256]='what sha256sum prints for the binary of that version'
)
readonly MEMBER=(member-url member-version member-sha256) GITLAB_RUNNER=(gitlab-runner-version gitlab-runner-sha256)
declare -rA OPTIONAL=([aws-cli-url]=1 [buildx-url]=1 [gitlab-runner-url]=1)
declare -A given=()

read_arguments() {
  local name
  while (($#)); do
    case "$1" in
      -h | --help) usage && exit 0 ;;
      --*) name="${1#--}" ;;
      *) fail 2 "$1 is no option; see --help" ;;
    esac
    [[ -n "${MANDATORY[$name]:-}${GROUPED[$name]:-}${OPTIONAL[$name]:-}" ]] || fail 2 "--$name is no option of mine; see --help"
    [[ -z "${given[$name]:-}" ]] || fail 2 "--$name is there twice; give it once"
    [[ -n "${2:-}" && "$2" != --* ]] || fail 2 "--$name has no value; give ${MANDATORY[$name]:-${GROUPED[$name]:-an address}}"
    given[$name]="$2"
    shift 2
  done
}

# Whether a program is to be there, of which an option says so: `wanted <name of its options>`.
wanted() {
  [[ -n "${given[$1-url]:-}${given[$1-version]:-}${given[$1-sha256]:-}" ]]
}

# Counts and says what is missing or unusable: `check <another cure, or nothing> <options...>`.
check() {
  local cure="$1" name words
  shift
  for name in "$@"; do
    words="${MANDATORY[$name]:-${GROUPED[$name]:-}}"
    if [[ -z "${given[$name]:-}" ]]; then
      say "--$name is missing: give $words$cure"
      faults=$((faults + 1))
    elif ! fits "$name" "${given[$name]}"; then
      say "--$name cannot be '${given[$name]}': give $words"
      faults=$((faults + 1))
    fi
  done
}

# All that is missing or unusable is said at once.
check_arguments() {
  local name
  faults=0
  check '' "${ORDER[@]}"
  if wanted member; then
    check ', or no --member-... at all, for an image without runnerless-member' "${MEMBER[@]}"
  fi
  if wanted gitlab-runner; then
    check ', or no --gitlab-runner-... at all, for an image without gitlab-runner' "${GITLAB_RUNNER[@]}"
  fi
  for name in "${!OPTIONAL[@]}"; do
    if [[ -n "${given[$name]:-}" ]] && ! fits "$name" "${given[$name]}"; then
      say "--$name cannot be '$(shown "${given[$name]}")': give an address that starts with https:// or file:///"
      faults=$((faults + 1))
    fi
  done
  ((faults == 0)) || exit 2
}

# Whether a value has the form of its option's kind.
fits() {
  case "$1" in
    *-version) [[ "$2" =~ ^[0-9]+(\.[0-9]+)+([-+][0-9A-Za-z.]+)?$ ]] ;;
    *-sha256) [[ "$2" =~ ^[0-9a-f]{64}$ ]] ;;
    *-url) [[ "$2" =~ ^(https?://|file:///)[^[:space:]]+$ ]] ;;
    release) [[ "$2" =~ ^[0-9a-z.]+$ ]] ;;
  esac
}

# An address without its query, which may hold a signature.
shown() {
  printf '%s' "${1%%\?*}"
}

check_machine() {
  ((EUID == 0)) || fail 3 "only root can make an image; run it with sudo"
  [[ -r /etc/os-release ]] || fail 3 "there is no /etc/os-release; use Amazon Linux 2023"
  # shellcheck source=/dev/null
  distribution="$(. /etc/os-release && printf '%s:%s' "${ID:-}" "${VERSION_CODENAME:-${VERSION_ID:-}}")"
  case "$distribution" in
    amzn:2023)
      [[ "${given[release]}" =~ ^2023\.[0-9]+\.[0-9]{8}$ ]] ||
        fail 2 "--release cannot be '${given[release]}': give ${MANDATORY[release]} ('latest' would pin nothing)"
      ;;
    debian:*)
      [[ "${given[release]}" == "${distribution#debian:}" ]] ||
        fail 2 "--release is '${given[release]}', but this machine is Debian ${distribution#debian:}: give that, or use another machine"
      ;;
    *) fail 3 "this is '$distribution', which is not supported; use Amazon Linux 2023" ;;
  esac
  architecture="$(uname -m)"
  case "$architecture" in
    x86_64) go_architecture=amd64 ;;
    aarch64) go_architecture=arm64 ;;
    *) fail 3 "there are no builds of the tools for $architecture; use x86_64 or arm64" ;;
  esac
  command -v curl >/dev/null || fail 3 "curl is not installed; install it first"
}

# ------------------------------------------------------------------------------------------------ What is fetched

# Fetches one file and compares its sum: `fetch <name of its options> <address> <file>`.
fetch() {
  local name="$1" url="$2" file="$3" code=0 sum
  say "fetching $(shown "$url")"
  # Plain HTTP is good enough: the sum decides what is installed, not the way.
  curl --fail --silent --show-error --location --proto '=https,http,file' --proto-redir '=https,http' \
    --retry 3 --connect-timeout 20 --max-time 900 --output "$file" -- "$url" || code=$?
  ((code == 0)) || fail 4 "$(shown "$url") could not be fetched (curl ended with $code); check --$name-version and --$name-url. Nothing was changed"
  sum="$(sha256sum <"$file")"
  sum="${sum%% *}"
  [[ "$sum" == "${given[$name-sha256]}" ]] ||
    fail 1 "$(shown "$url") has the SHA-256 $sum, and --$name-sha256 says ${given[$name-sha256]}: give the sum of the version that you trust, or find out who changed the file. Nothing was changed"
}

fetch_all() {
  local aws="https://awscli.amazonaws.com/awscli-exe-linux-$architecture-${given[aws-cli-version]}.zip"
  local buildx="https://github.com/docker/buildx/releases/download/v${given[buildx-version]}"
  fetch runner "${given[runner-url]}" "$folder/runnerless-runner"
  fetch aws-cli "${given[aws-cli-url]:-$aws}" "$folder/aws-cli.zip"
  fetch buildx "${given[buildx-url]:-$buildx/buildx-v${given[buildx-version]}.linux-$go_architecture}" "$folder/docker-buildx"
  if wanted member; then
    fetch member "${given[member-url]}" "$folder/runnerless-member"
  fi
  if wanted gitlab-runner; then
    local gitlab="https://gitlab-runner-downloads.s3.amazonaws.com/v${given[gitlab-runner-version]}/binaries"
    fetch gitlab-runner "${given[gitlab-runner-url]:-$gitlab/gitlab-runner-linux-$go_architecture}" "$folder/gitlab-runner"
  fi
}

# ------------------------------------------------------------------------------------------------ What is installed

# The distribution's own packages: pinned by the release of its repositories, proved by its signatures.
install_packages() {
  local common=(git git-lfs jq unzip)
  say "installing packages of ${given[release]}"
  case "$distribution" in
    amzn:*)
      local dnf=(dnf --assumeyes --quiet "--releasever=${given[release]}" --setopt=gpgcheck=1)
      "${dnf[@]}" upgrade
      "${dnf[@]}" install "${common[@]}" docker shadow-utils
      ;;
    debian:*)
      local apt=(apt-get --yes --quiet=2 -o Dpkg::Use-Pty=0 -o APT::Update::Error-Mode=any)
      export DEBIAN_FRONTEND=noninteractive
      "${apt[@]}" update
      "${apt[@]}" upgrade
      "${apt[@]}" install --no-install-recommends "${common[@]}" ca-certificates docker.io
      ;;
  esac >&2
  git lfs install --system --skip-repo >&2
}

# Puts a program in its place in one step: `place <file> <place>`.
place() {
  mkdir -p "$(dirname "$2")"
  install --mode=755 "$1" "$2.new"
  mv --force "$2.new" "$2"
}

install_tools() {
  say "installing the AWS CLI, docker buildx and the runner"
  place "$folder/runnerless-runner" "$BIN/runnerless-runner"
  # Found before the plugin of the distribution's own docker, which is old where there is one.
  place "$folder/docker-buildx" "$PLUGINS/docker-buildx"
  unzip -q "$folder/aws-cli.zip" -d "$folder/aws-cli" ||
    fail 1 "the AWS CLI's zip cannot be unpacked; check --aws-cli-url"
  # Its installer takes a version for installed whose folder is there, complete or not.
  rm -rf /usr/local/aws-cli
  "$folder/aws-cli/aws/install" --bin-dir "$BIN" --install-dir /usr/local/aws-cli --update >&2
}

# An image that was one of a pool's members becomes another by other options.
install_pool() {
  local name program
  for name in "${POOL[@]}"; do
    program="${PROGRAMS[$name]}"
    if wanted "$name"; then
      say "installing $program"
      place "$folder/$program" "$BIN/$program"
    else
      [[ ! -e "$BIN/$program" ]] || say "removing $BIN/$program, which is not asked for"
      rm -f "$BIN/$program" "$BIN/$program.new"
    fi
  done
}

# Writes a file in one step, from standard input.
write() {
  mkdir -p "$(dirname "$1")"
  cat >"$1.new"
  chmod 644 "$1.new"
  mv --force "$1.new" "$1"
}

configure() {
  say "configuring docker, the user $JOB_USER and logs"
  getent group docker >/dev/null || groupadd --system docker
  getent passwd "$JOB_USER" >/dev/null || useradd --create-home --shell /bin/bash "$JOB_USER"
  usermod --append --groups docker "$JOB_USER"
  # A job that prints for hours fills no disk: neither through a container nor through the journal.
  write /etc/docker/daemon.json <<<'{"log-driver": "json-file", "log-opts": {"max-size": "10m", "max-file": "3"}}'
  write /etc/systemd/journald.conf.d/runnerless.conf <<<$'[Journal]\nSystemMaxUse=64M\nRuntimeMaxUse=64M'
  systemctl --quiet enable docker.service
}

# ------------------------------------------------------------------------------------------------ What is forgotten

# What two instances must not share, and what tells of this one.
forget() {
  : >"$folder/forgetting"
  say "removing what belongs to this machine alone"
  case "$distribution" in
    amzn:*) dnf --quiet clean all >&2 ;;
    debian:*) apt-get clean && rm -rf /var/lib/apt/lists/* ;;
  esac
  rm -f /etc/ssh/ssh_host_* /var/lib/dbus/machine-id /var/lib/systemd/random-seed /var/lib/systemd/credential.secret
  # Docker's own ids of an engine that ran here.
  rm -f /etc/docker/key.json /var/lib/docker/engine-id
  rm -rf /var/lib/cloud/data /var/lib/cloud/instance /var/lib/cloud/instances /var/lib/cloud/sem /var/lib/dhcp/*
  local home
  for home in /root /home/*; do
    rm -f "$home"/.*_history "$home"/.lesshst "$home"/.viminfo "$home"/.wget-hsts "$home"/.ssh/authorized_keys
    rm -rf "$home"/.aws "$home"/.docker "$home"/.cache
  done
  find /var/log -xdev -mindepth 1 ! -type d -delete
  rm -rf /var/log/journal/*
  # Empty, not absent: systemd then makes a new one at each first boot, and a runner's identity never comes twice.
  : >/etc/machine-id
}

# ------------------------------------------------------------------------------------------------ What is there

# Complains unless a command succeeds: `expect <what> <command...>`.
expect() {
  local what="$1"
  shift
  "$@" >/dev/null 2>&1 || {
    say "not so: $what"
    missing=$((missing + 1))
  }
}

prints() {
  local text="$1"
  shift
  [[ "$("$@" 2>&1)" == *"$text"* ]]
}

is_version() {
  [[ "$(version_of "$2")" == "$1" ]]
}

nothing_matches() {
  [[ -z "$(compgen -G "$1")" ]]
}

is_in_group() {
  [[ " $(id -nG "$1") " == *" $2 "* ]]
}

# A machine that runs writes new logs at once; the old ones are gone.
no_log_of_before() {
  [[ -z "$(find /var/log -xdev ! -type d ! -newer "$folder/forgetting" -print -quit)" ]]
}

# The machine is asked, not the steps before: a step that did nothing does not count.
verify() {
  local tool
  missing=0
  for tool in git git-lfs jq docker; do
    expect "$tool runs" "$tool" --version
  done
  expect "runnerless-runner is ${given[runner-version]}" \
    prints "runnerless-runner ${given[runner-version]}" "$BIN/runnerless-runner" --version
  expect "the AWS CLI is ${given[aws-cli-version]}" prints "aws-cli/${given[aws-cli-version]} " "$BIN/aws" --version
  expect "docker buildx is ${given[buildx-version]}" prints " v${given[buildx-version]} " docker buildx version
  if wanted member; then
    expect "runnerless-member is ${given[member-version]}" \
      prints "runnerless-member ${given[member-version]}" "$BIN/runnerless-member" --version
  else
    expect "there is no runnerless-member" nothing_matches "$BIN/runnerless-member"
  fi
  if wanted gitlab-runner; then
    expect "gitlab-runner is ${given[gitlab-runner-version]}" \
      is_version "${given[gitlab-runner-version]}" "$BIN/gitlab-runner"
  else
    expect "there is no gitlab-runner" nothing_matches "$BIN/gitlab-runner"
  fi
  # By which the runner starts a job as its user.
  expect "setpriv is there" command -v setpriv
  expect "git uses git-lfs for everybody" git config --system filter.lfs.required
  expect "$JOB_USER is in the group docker" is_in_group "$JOB_USER" docker
  expect "docker starts at boot" systemctl is-enabled docker.service
  expect "docker limits logs" jq --exit-status '."log-opts"."max-size"' /etc/docker/daemon.json
  expect "/etc/machine-id is there and empty" test -f /etc/machine-id -a ! -s /etc/machine-id
  expect "there are no SSH host keys" nothing_matches '/etc/ssh/ssh_host_*'
  expect "there are no logs" no_log_of_before
  expect "root has no history" nothing_matches '/root/.*_history'
  expect "$JOB_USER has no history" nothing_matches "/home/$JOB_USER/.*_history"
  ((missing == 0)) || fail 1 "the image is not finished: $missing of its promises do not hold, see above"
}

# The version of a package's program: the first number with a point in what it says of itself.
version_of() {
  local words
  words="$("$1" --version 2>&1)"
  [[ "$words" =~ [0-9]+(\.[0-9A-Za-z+~-]+)+ ]] || fail 1 "$1 --version names no version: $words"
  printf '%s' "${BASH_REMATCH[0]}"
}

# What was fetched, each with its version and its sum.
downloads() {
  local name
  for name in runner aws-cli buildx "${POOL[@]}"; do
    if wanted "$name"; then
      jq --null-input '{key: $program, value: {version: $version, sha256: $sha256}}' --arg program "${PROGRAMS[$name]}" \
        --arg version "${given[$name-version]}" --arg sha256 "${given[$name-sha256]}"
    fi
  done | jq --slurp from_entries
}

# No time in it: the same options make the same statement.
write_statement() {
  local git lfs docker jq fetched
  git="$(version_of git)"
  lfs="$(version_of git-lfs)"
  docker="$(version_of docker)"
  jq="$(version_of jq)"
  fetched="$(downloads)"
  jq --null-input --sort-keys '{v: 1, distribution: $distribution, release: $release, architecture: $architecture,
      downloads: $downloads, packages: {git: $git, "git-lfs": $lfs, docker: $docker, jq: $jq}}' \
    --arg distribution "${distribution%%:*}" --arg release "${given[release]}" --arg architecture "$architecture" \
    --argjson downloads "$fetched" \
    --arg git "$git" --arg lfs "$lfs" --arg docker "$docker" --arg jq "$jq" | write "$STATEMENT"
}

# However it ends: nothing of it stays, and a command's own exit code is not taken for one of ours.
ended() {
  rm -rf "$folder"
  ((${1} == 0)) || say "the image is NOT finished"
  ((${1} <= 4)) || exit 1
}

main() {
  read_arguments "$@"
  check_arguments
  check_machine
  # Not /tmp, which is memory on Amazon Linux.
  folder="$(mktemp -d /var/tmp/runnerless-image.XXXXXXXX)"
  trap 'ended "$?"' EXIT
  # What the docker command notes for its user is noted here, and gone at the end.
  export DOCKER_CONFIG="$folder/docker"
  fetch_all
  # From here on the machine is changed: an older statement would no longer be true.
  rm -f "$STATEMENT"
  install_packages
  install_tools
  install_pool
  configure
  forget
  verify
  write_statement
  say "finished"
  cat "$STATEMENT"
}

main "$@"
