# Runs inside fresh namespaces, as their first process: gives the program file systems of its own and an unprivileged user.
# $1 the user's number, or `own` where the namespace has one user only; $2 the most processes; $3 the program; then its
# arguments.
set -eu
user=$1 tasks=$2 program=$3
shift 3
# The program may be below a folder that is covered next.
mount -t tmpfs -o size=256m,mode=755 programs /mnt
cp "$program" /mnt/program
mount -t tmpfs -o size=64m,nr_inodes=40k,mode=1777 tmp /tmp
mount -t tmpfs -o size=16m,nr_inodes=10k,mode=1777 tmp /var/tmp
mount -t tmpfs -o size=16m,nr_inodes=10k,mode=1777 shm /dev/shm
mount -o remount,bind,ro /mnt
cd /mnt
if [ "$user" = own ]; then
  # Another namespace, in which nobody is root: else what the kernel keeps for root would be the caller's.
  as="unshare --user --map-user=1000 --map-group=1000 -- setpriv --no-new-privs"
else
  as="setpriv --reuid $user --regid $user --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs"
fi
# A descriptor that nobody closed, as a careless host leaves one: it must not get to a job.
exec 7< /mnt/program
# A child and not an exec: the first process of a namespace cannot be signalled by the others, the program can.
# shellcheck disable=SC2086 # words, none of them from outside
$as -- prlimit --nproc="$tasks" --core=0 -- /mnt/program "$@"
exit $?
