# A host of its own for tests, in namespaces: real sshd, rsyslogd, PAM and records, with users, logs and /dev/log that nobody else sees. Takes
# commands from its standard input and says "ready" when they can be given. `$1`: its directory.
set -eu
dir=$1
mkdir -p "$dir"/{dev,log,run,etc}
mount --make-rprivate /
mount -t tmpfs dev "$dir/dev"
mkdir "$dir/dev/pts" "$dir/dev/shm"
for device in null zero full random urandom tty; do
  touch "$dir/dev/$device"
  mount --bind "/dev/$device" "$dir/dev/$device"
done
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$dir/dev/pts"
ln -s pts/ptmx "$dir/dev/ptmx"
ln -s /proc/self/fd "$dir/dev/fd"
mount --rbind "$dir/dev" /dev
mount --bind "$dir/log" /var/log
mount --bind "$dir/run" /run
mkdir -p /run/sshd
touch /run/utmp /var/log/{wtmp,btmp,lastlog}
chmod 600 /var/log/btmp
ip link set lo up
hash=$(openssl passwd -6 right)
for file in passwd shadow group; do cp -p "/etc/$file" "$dir/etc/$file"; done
echo "alice:x:4001:4001::/tmp:/bin/sh" >>"$dir/etc/passwd"
echo "alice:$hash:19000:0:99999:7:::" >>"$dir/etc/shadow"
echo "alice:x:4001:" >>"$dir/etc/group"
for file in passwd shadow group; do mount --bind "$dir/etc/$file" "/etc/$file"; done
cat >"$dir/rsyslog.conf" <<EOF
module(load="imuxsock" SysSock.RateLimit.Interval="0")
global(workDirectory="$dir")
\$FileCreateMode 0640
auth,authpriv.* action(type="omfile" file="/var/log/auth.log"${TEMPLATE:+ template="RSYSLOG_TraditionalFileFormat"})
EOF
rsyslogd -n -f "$dir/rsyslog.conf" -i "$dir/rsyslog.pid" &
ssh-keygen -q -t ed25519 -N "" -f "$dir/host-key"
cat >"$dir/sshd.conf" <<EOF
Port 22
ListenAddress 127.0.0.1
HostKey $dir/host-key
UsePAM yes
PasswordAuthentication yes
KbdInteractiveAuthentication no
PidFile none
EOF
until [ -S /dev/log ]; do sleep 0.05; done
/usr/sbin/sshd -D -f "$dir/sshd.conf" &
login() {
  user=$1 password=$2
  shift 2
  sshpass -p "$password" ssh -q -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o NumberOfPasswordPrompts=1 "$@" "$user@127.0.0.1" true || true
}
until (exec 3<>/dev/tcp/127.0.0.1/22) 2>/dev/null; do sleep 0.05; done
echo ready
while read -r command; do
  # What a command reads is not the next command.
  eval "$command" </dev/null || true
done
