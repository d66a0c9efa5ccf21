# Runs inside fresh namespaces, as their first process: gives an instance file systems of its own, and its user data a user
# namespace in which nobody is anybody of this machine. Ends with 0, and with it ends everything in the namespaces, when the
# power is switched off.
# $1 an empty folder; $2 the first of those numbers of users that are the instance's, or `own` where it has only the caller's;
# $3 a folder with `user-data`, `hosts`, and perhaps programs of the image in `bin`; $4 the runner; $5 the most processes; then variables of the environment, NAME=value.
set -eu
PATH=$PATH:/usr/sbin:/sbin
root=$1 users=$2 given=$3 runner=$4 tasks=$5
shift 5
owner=0
[ "$users" = own ] || owner=$users
trap 'exit 143' TERM

# Seen of this machine: programs and their settings. Nobody's files, and no socket that a service of it listens on.
mount -t tmpfs -o size=1g,nr_inodes=200k,mode=755 instance "$root"
for folder in usr bin sbin lib lib32 lib64 libx32 etc opt nix; do
  if [ -L "/$folder" ]; then
    cp -P "/$folder" "$root/$folder"
  elif [ -d "/$folder" ]; then
    mkdir "$root/$folder"
    mount --rbind "/$folder" "$root/$folder"
  fi
done
# Everything else is the instance's own.
for folder in proc dev dev/shm run runnerless runnerless/bin .old home root srv mnt work tmp \
  var var/tmp var/lib var/log var/cache; do
  mkdir "$root/$folder"
done
chmod 1777 "$root/tmp" "$root/var/tmp" "$root/dev/shm"
chmod 700 "$root/root"
for folder in dev/shm run home root srv mnt work tmp var var/tmp var/lib var/log var/cache; do
  chown "$owner:$owner" "$root/$folder"
done
ln -s /run "$root/var/run"
for device in null zero full random urandom; do
  : > "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
ln -s /proc/self/fd "$root/dev/fd"
ln -s fd/0 "$root/dev/stdin"
ln -s fd/1 "$root/dev/stdout"
ln -s fd/2 "$root/dev/stderr"

# The switch belongs to the machine that the instance pretends to be on: what runs there can use it, and not remove it.
printf '#!/bin/sh\necho off > /runnerless/power\n' > "$root/runnerless/bin/poweroff"
for word in shutdown halt reboot; do ln -s poweroff "$root/runnerless/bin/$word"; done
cp "$given/user-data" "$root/runnerless/user-data"
chmod 755 "$root/runnerless/bin/poweroff" "$root/runnerless/user-data"
for program in "$given"/bin/*; do
  if [ -f "$program" ]; then
    cp "$program" "$root/runnerless/bin/"
    chmod 755 "$root/runnerless/bin/${program##*/}"
  fi
done
# Unless the image brings another.
if [ ! -e "$root/runnerless/bin/runnerless-runner" ]; then
  : > "$root/runnerless/bin/runnerless-runner"
  mount --bind "$runner" "$root/runnerless/bin/runnerless-runner"
fi
# One for each word: who reads a second one may find the first one's writer still there, and then nobody.
for pipe in power made in go; do
  mkfifo "$root/runnerless/$pipe"
  chmod 666 "$root/runnerless/$pipe"
done
mount --bind "$given/hosts" "$root/etc/hosts"
mount --rbind "$root/runnerless" "$root/runnerless"

# Before the old root goes: a proc of one's own may be mounted only where another is seen.
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
cd "$root"
pivot_root . .old
umount -l /.old
rmdir /.old
findmnt -rno TARGET,VFS-OPTIONS | while read -r target options; do
  case $target in
    /usr* | /bin* | /sbin* | /lib* | /etc* | /opt* | /nix* | /runnerless*)
      mount -o "remount,bind,ro${options#r[wo]}" "$target"
      ;;
  esac
done

# What root of the user data may do to what is the instance's; none of it reaches beyond its user namespace.
keep=+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,+net_bind_service,+sys_chroot,+setfcap,+sys_ptrace
programs=/runnerless/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# shellcheck disable=SC2016 # for the other shell
begin='echo in > /runnerless/in; read -r go < /runnerless/go; exec /runnerless/user-data'
set -- setpriv --bounding-set="-all,$keep" --inh-caps=-all --no-new-privs -- \
  prlimit --nproc="$tasks" --core=0 --fsize=1073741824 \
  env -i PATH="$programs" HOME=/root LANG=C.UTF-8 "$@" /bin/sh -c "$begin"
if [ "$users" = own ]; then
  unshare --user --map-root-user -- "$@" &
  read -r word < /runnerless/in
else
  # A namespace needs somebody in it until its users are written down. He is this machine's root, and gone before the user
  # data begins, which could take him over.
  unshare --user -- /bin/sh -c 'echo made > /runnerless/made; exec sleep 1000' &
  holder=$!
  read -r word < /runnerless/made
  echo "0 $users 65536" > "/proc/$holder/uid_map"
  echo "0 $users 65536" > "/proc/$holder/gid_map"
  nsenter --user="/proc/$holder/ns/user" --setuid 0 --setgid 0 -- "$@" &
  read -r word < /runnerless/in
  kill -9 "$holder"
  wait "$holder" 2> /dev/null || true
fi
echo "instance: the user data begins"
echo go > /runnerless/go
# Somebody may end the reader, which switches nothing off.
until [ "${word:-}" = off ]; do
  /bin/sh -c 'read -r word < /runnerless/power && [ "$word" = off ]' &
  if wait $!; then word=off; fi
done
echo "instance: the power is off"
