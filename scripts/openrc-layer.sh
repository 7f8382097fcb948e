#!/usr/bin/env bash
# Unpacks Debian's OpenRC into a directory that tests lay over the small Debian of scripts/systemd-base.sh: some 700 kB, in a second, once a
# machine. Nothing is installed on this machine. Needs root and apt.
#
#     scripts/openrc-layer.sh [FOLDER [BASE]]
set -euo pipefail
layer=${1:-/var/cache/needfire-test/openrc-layer}
base=${2:-/var/cache/needfire-test/systemd-base}

exec 9>"$layer.lock"
flock 9
if [[ -e $layer/.complete ]]; then exit 0; fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && apt-get download -qq openrc libeinfo1 librc1 2>/dev/null)
for package in "$work"/*.deb; do dpkg-deb -x "$package" "$work/root"; done
# Where /bin, /sbin and /lib are links a directory of that name may not lie over them.
for name in bin sbin lib; do
  [[ -d $work/root/$name ]] || continue
  mkdir -p "$work/root/usr/$name"
  cp -a "$work/root/$name/." "$work/root/usr/$name/"
  rm -r "${work:?}/root/$name"
done
# OpenRC asks for it, and it comes from a package that has nothing else to do with it.
touch "$work/root/etc/insserv.conf"
# This machine's packages may be of a later Debian than that.
run=$work/run
mkdir "$run"
unshare --mount --propagation private sh -ec "
  mount -t tmpfs tmpfs '$run' && mkdir '$run/upper' '$run/work' '$run/root'
  mount -t overlay overlay -o 'lowerdir=$work/root:$base,upperdir=$run/upper,workdir=$run/work' '$run/root'
  chroot '$run/root' rc-service --version" >/dev/null
rm -rf "$layer"
mv "$work/root" "$layer"
touch "$layer/.complete"
