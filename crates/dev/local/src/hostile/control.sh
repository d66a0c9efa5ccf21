exec 2>&1
look() { echo "== $1"; shift; "$@"; }
files() { find /tmp /var/tmp /dev/shm -mindepth 1 -printf '%y %m %p\n' | LC_ALL=C sort; }
processes() {
  local name names=() comm
  for comm in /proc/[0-9]*/comm; do read -r name < "$comm" && names+=("$name"); done
  printf '%s\n' "${names[@]}" | LC_ALL=C sort
}
values() { for name in PATH HOME TMPDIR LANG USER SHELL BASH_ENV ENV LD_PRELOAD PS4 IFS; do echo "$name=${!name@Q}"; done; }
descriptors() { local fd; for fd in /proc/"$$"/fd/*; do echo "${fd##*/} $(readlink "$fd")"; done; }
home() { find "$HOME" -mindepth 1 -printf '%y %m %P\n' | LC_ALL=C sort; }
status() { grep -E '^(Cpus_allowed|NoNewPrivs|Seccomp|CapEff|SigIgn|SigBlk)' /proc/self/status; }
ipc() { tail -qn +2 /proc/sysvipc/shm /proc/sysvipc/sem /proc/sysvipc/msg; }
echo "@@begin"
look files files
look processes processes
look environment compgen -e
look values values
look descriptors descriptors
look home home
look limits ulimit -a
look inherited status
look priority nice
look umask umask
look traps trap
look out-of-memory cat /proc/self/oom_score_adj
look ipc ipc
look work-tree ls -A
echo "@@end"
