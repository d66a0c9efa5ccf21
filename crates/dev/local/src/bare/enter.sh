# Runs inside fresh mount, PID and IPC namespaces, as their first process: starts a program where nothing is but what a Lambda
# function finds.
# $1 the root; $2 the folder of the layer, or nothing; $3 the folder of the function; $4 an empty folder; $5 `root`, or `own`
# where the namespace has one user only; then the program and its arguments, as the function finds them.
set -eu
PATH=$PATH:/usr/sbin:/sbin
given=$1 layer=$2 task=$3 inside=$4 users=$5
shift 5

mount --bind "$given" "$inside"
mount -o remount,bind,ro "$inside"
mount --bind "$task" "$inside/var/task"
mount -o remount,bind,ro "$inside/var/task"
if [ -n "$layer" ]; then
  mount --bind "$layer" "$inside/opt"
  mount -o remount,bind,ro "$inside/opt"
fi
mount --bind /etc/resolv.conf "$inside/etc/resolv.conf"
mount -t proc -o nosuid,nodev,noexec proc "$inside/proc"
# The only folder that can be written. No /dev/shm, no terminal.
mount -t tmpfs -o size=512m,mode=1777,nosuid,nodev tmp "$inside/tmp"
mount -t tmpfs -o size=1m,mode=755 dev "$inside/dev"
for device in null zero full random urandom; do
  : > "$inside/dev/$device"
  mount --bind "/dev/$device" "$inside/dev/$device"
done
ln -s /proc/self/fd "$inside/dev/fd"
ln -s fd/0 "$inside/dev/stdin"
ln -s fd/1 "$inside/dev/stdout"
ln -s fd/2 "$inside/dev/stderr"
mount -o remount,ro "$inside/dev"

# Lambda's numbers. Root gives up its rights by becoming another; others are another in a namespace without rights.
if [ "$users" = own ]; then
  as="unshare --user --map-user=993 --map-group=990 --root=$inside --wd=/var/task"
else
  as="unshare --root=$inside --wd=/var/task --setgid=990 --setuid=993"
fi
# What Lambda sets beside the caller's variables, and what it does not set.
libraries=/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib
# A child and not an exec: the first process of a namespace cannot be signalled by the others, the program can.
# shellcheck disable=SC2086 # words, none of them from outside
setpriv --no-new-privs -- $as -- env -u HOME -u USER -u LOGNAME -u TMPDIR -u PWD -u OLDPWD -u SHLVL -u PYTHONUNBUFFERED \
  PATH=/usr/local/bin:/usr/bin/:/bin:/opt/bin LANG=en_US.UTF-8 TZ=:UTC LD_LIBRARY_PATH="$libraries" \
  LAMBDA_TASK_ROOT=/var/task LAMBDA_RUNTIME_DIR=/var/runtime "$@"
exit $?
