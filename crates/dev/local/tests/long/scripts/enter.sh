#!/usr/bin/env bash
# Runs a program in a root of its own, as the first process of fresh mount and PID namespaces.
# $1 the root, which is not changed; $2 the folder of a layer, which takes all changes; $3 a script that the program finds
# as /tmp/provision.sh; then the program and its arguments.
set -euo pipefail
root="$1" layer="$2" script="$3"
shift 3
mkdir -p "$layer/changes" "$layer/work" "$layer/root"
inside="$layer/root"
mount -t overlay overlay -o "lowerdir=$root,upperdir=$layer/changes,workdir=$layer/work" "$inside"
mount -t proc proc "$inside/proc"
mount -t tmpfs -o mode=755 dev "$inside/dev"
for device in null zero random urandom; do
  : >"$inside/dev/$device"
  mount --bind "/dev/$device" "$inside/dev/$device"
done
ln -s /proc/self/fd "$inside/dev/fd"
mount -t tmpfs -o mode=1777 tmp "$inside/tmp"
mount -t tmpfs -o mode=755 run "$inside/run"
mount --bind -o ro /etc/resolv.conf "$inside/etc/resolv.conf"
cp "$script" "$inside/tmp/provision.sh"
# Of the caller's environment a proxy only. Not an exec: the namespaces' first process ignores signals that it sends itself.
env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin ${http_proxy:+"http_proxy=$http_proxy"} ${no_proxy:+"no_proxy=$no_proxy"} \
  chroot "$inside" "$@"
exit $?
