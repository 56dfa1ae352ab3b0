#!/usr/bin/env bash
# post-build.sh - what the root has besides the overlay (board/common/rootfs). Buildroot calls it: post-build.sh TARGET BOARD
set -euo pipefail
target=$1 board=$2
top=$(realpath "$(dirname "$(realpath "$0")")/../..")
version=$(git -C "$top" describe --tags --always 2>/dev/null || echo buildroot)
commit=$(git -C "$top" rev-parse --short=12 HEAD 2>/dev/null || echo unknown)

mkdir -p "$target"/{boot,var/lib/holdfast,usr/share/holdfast,etc/ssl/certs}
ln -sfn /run/holdfast-net/resolv.conf "$target/etc/resolv.conf"
# Everything is built into this kernel; the boot steps read the list all the same.
: >"$target/etc/modules"
# The overlay's steps call it by Debian's name; here all programs are static.
ln -sf e2fsck "$target/sbin/e2fsck.static"
printf 'VERSION=%s\nCOMMIT=%s\nBOARD=%s\nSLOT_FORMAT=1\nTIME=%s\n' "$version" "$commit" "$board" "${SOURCE_DATE_EPOCH:-$(git -C "$top" log -1 --format=%ct 2>/dev/null || echo 0)}" >"$target/etc/holdfast-release"
key=${UPDATE_KEY:-$top/update.key}.pub
if [ -f "$key" ]; then install -D -m 644 "$key" "$target/etc/holdfast/update.pub"; fi
cp "$top/LICENSE" "$target/usr/share/holdfast/LICENSE"
# Buildroot's own start scripts and consoles have no place here: inittab is the overlay's.
rm -f "$target"/etc/init.d/{rcS,rcK,S[0-9]*}
