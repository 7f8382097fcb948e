#!/usr/bin/env bash
# Builds what tests boot a real systemd from, in a namespace of its own (packages/agent/src/beacons/systemd-host.ts): a small Debian of
# 255 MB, once a machine. Needs root, debootstrap and a Debian mirror. The machine's own root is never touched.
#
#     scripts/systemd-base.sh [FOLDER]
set -euo pipefail
base=${1:-/var/cache/needfire-test/systemd-base}

mkdir -p "$(dirname "$base")"
exec 9>"$base.lock"
flock 9
if [[ -e $base/.complete ]]; then exit 0; fi
rm -rf "$base"
debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus bookworm "$base" >"$base.log" 2>&1 || {
  tail -5 "$base.log" >&2
  exit 1
}
rm -rf "$base"/var/cache/apt/archives/*.deb "$base"/var/lib/apt/lists/*
touch "$base/.complete"
