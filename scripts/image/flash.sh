#!/usr/bin/env bash
# flash.sh - writes a card's image to a card, and nothing else: a disk that is mounted, that is not removable, or that is none, is refused.
# usage: flash.sh DEVICE IMAGE.zst      (make flash DEV=/dev/sdX)
# SYS and PROC (default /sys, /proc) say where the kernel tells about its disks; DRY=1 stops before writing.
set -euo pipefail
[ $# = 2 ] || { sed -n 2,4p "$0" >&2; exit 2; }
sys=${SYS:-/sys} proc=${PROC:-/proc}
stop() { echo "flash: $*" >&2; exit 1; }

image=$2
[ -n "$1" ] || stop "say which card, for example: make flash DEV=/dev/sdb   (lsblk shows them)"
[ -s "$image" ] || stop "$image is not there; make image BOARD=… builds it"
dev=$(realpath "$1")
name=${dev#/dev/}
[ "$dev" = "/dev/$name" ] || stop "$1 is not a device in /dev"
disk=$sys/block/$name
if [ ! -d "$disk" ]; then
	parent=$(compgen -G "$sys/block/*/$name" | head -1) || true
	[ -z "$parent" ] || stop "$dev is a partition; the whole card is /dev/$(basename "$(dirname "$parent")")"
	stop "$dev is not a disk"
fi
# A card reader says "removable"; a card in a slot of the machine (mmcblk) is of type SD; a USB disk is neither.
removable=$(cat "$disk/removable" 2>/dev/null || echo 0)
type=$(cat "$disk/device/type" 2>/dev/null || true)
[ "$removable" = 1 ] || [ "$type" = SD ] || stop "$dev is not a removable disk; nothing was written"
[ "$(cat "$disk/ro" 2>/dev/null || echo 0)" = 0 ] || stop "$dev is write-protected (the switch at the card's side?)"
[ ! -e "$disk/holders" ] || [ -z "$(ls -A "$disk/holders")" ] || stop "$dev is part of something else (RAID, LVM, encryption)"

# Whatever of it is mounted, or is swap: by device number, since names may be links.
parts=("$disk" "$disk/$name"*)
for part in "${parts[@]}"; do
	[ -f "$part/dev" ] || continue
	number=$(cat "$part/dev")
	where=$(awk -v n="$number" '$3 == n { print $5; exit }' "$proc/self/mountinfo")
	[ -z "$where" ] || stop "/dev/$(basename "$part") is mounted at $where; unmount it first, if it is the right one"
	! grep -q "^/dev/$(basename "$part")[[:space:]]" "$proc/swaps" || stop "/dev/$(basename "$part") is in use as swap"
done

have=$(($(cat "$disk/size") * 512))
need=$(zstd -lv "$image" 2>/dev/null | sed -n 's/.*Decompressed Size:.*(\([0-9]*\) B).*/\1/p')
[ -n "$need" ] || stop "$image is not a compressed image"
[ "$have" -ge "$need" ] || stop "$dev holds $((have >> 20)) MiB, the image needs $((need >> 20)) MiB"
echo "writing $image to $dev ($(cat "$disk/device/vendor" "$disk/device/model" "$disk/device/name" 2>/dev/null | xargs), $((have >> 30)) GiB)"
[ -z "${DRY:-}" ] || exit 0
zstd -dcq "$image" | dd of="$dev" bs=4M oflag=direct conv=fsync iflag=fullblock status=progress
echo 'done: put your holdfast.toml onto the partition HOLDFAST, then the card into the box'
