#!/usr/bin/env bash
# post-image.sh - the card, with the layout, the boot script and the first program that `make image` has, too.
# Buildroot calls it: post-image.sh IMAGES BOARD, with HOST_DIR/bin in PATH and TARGET_DIR set.
# shellcheck disable=SC2034 # some names are for scripts/image/parts.sh
set -euo pipefail
images=$(realpath "$1") board=$2
cd "$(dirname "$(realpath "$0")")/../.."
here=$PWD/board/$board common=$PWD/board/common
[ -f "$here/boot.cmd" ] || { echo "post-image.sh: no board is called \"$board\"" >&2; exit 1; }
umask 022
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y board/README.md)}
export SOURCE_DATE_EPOCH TZ=UTC LC_ALL=C
version=$(sed -n 's/^VERSION=//p' "$TARGET_DIR/etc/holdfast-release")
boot_file=$((20 << 20)) slot=$((96 << 20)) # as in scripts/image/build.sh
out=$images/holdfast debian=
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rm -rf "$out"
mkdir -p "$out/slot"

# shellcheck source=scripts/image/parts.sh
. scripts/image/parts.sh

# The initrd: the first program with this build's busybox, which is static. The kernel has its drivers built in.
initrd=$work/initrd
mkdir -p "$initrd"/{bin,boot,etc,proc,sys,dev,root}
install -m 755 "$TARGET_DIR/bin/busybox" "$initrd/bin/busybox"
for name in $(applets "$common/initrd/applets"); do ln -s busybox "$initrd/bin/$name"; done
ln -s bin "$initrd/sbin"
cp "$common/initrd/init" "$initrd/init"
: >"$initrd/etc/modules"
find "$initrd" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
(cd "$initrd" && find . | sort | cpio -o -H newc --reproducible --quiet -R +0:+0) | gzip -9n >"$work/initrd.gz"
gzip -9nc "$images/Image" >"$work/kernel.gz"
mkimage -A arm64 -O linux -T multi -C none -n "holdfast $version" -d "$work/kernel.gz:$work/initrd.gz" "$out/slot/boot.img"
[ "$(stat -c %s "$out/slot/boot.img")" -le "$boot_file" ] || { echo "kernel and initrd do not fit into $boot_file bytes" >&2; exit 1; }

cp "$images/rootfs.squashfs" "$out/slot/root.squashfs"
seal "$out/slot/root.squashfs"
[ "$(stat -c %s "$out/slot/root.squashfs")" -le "$slot" ] || { echo "the root does not fit into its partition" >&2; exit 1; }
cp "$TARGET_DIR/etc/holdfast-release" "$out/slot/release"

# firmware: what runs before the boot script, for boot_partition.
firmware() { # unused, folder
	case $board in
	qemu-virt) cp "$images/u-boot.bin" "$2/u-boot.bin" ;;
	rpi4)
		cp "$images"/rpi-firmware/{bootcode.bin,start.elf,fixup.dat,start4.elf,fixup4.dat} "$2"
		cp "$images/u-boot.bin" "$images"/*.dtb "$here/config.txt" "$2"
		;;
	*)
		echo "post-image.sh: say here what firmware $board needs" >&2
		return 1
		;;
	esac
}
boot_partition
card
ls -l "$out"
