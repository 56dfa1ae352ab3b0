#!/usr/bin/env bash
# check-buildroot.sh - the tree for Buildroot (buildroot/), as far as it can be checked without Buildroot: its Kconfig files and
# defconfigs, the package's makefile with a stand-in for Buildroot's, and the scripts, which make a card of stand-ins for what
# Buildroot builds.
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/.."
tree=$PWD/buildroot
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
stop() { echo "check-buildroot: $*" >&2; exit 1; }

buildroot/check/check.py
shellcheck -x buildroot/board/*.sh scripts/check-buildroot.sh

# The package, with make: what Buildroot's generic-package would get to see.
cat >"$work/Makefile" <<'END'
qstrip = $(subst ",,$(1))
INSTALL = install
generic-package =
BR2_PACKAGE_HOLDFAST_DIST = "$(DIST)"
include $(BR2_EXTERNAL_HOLDFAST_PATH)/external.mk
show:
	@echo "$(HOLDFAST_SITE_METHOD) $(HOLDFAST_SITE) $(HOLDFAST_ADD_TOOLCHAIN_DEPENDENCY) $(HOLDFAST_LICENSE)"
	@echo "$(strip $(HOLDFAST_USERS))"
$(DIST)/stamp:
	$(HOLDFAST_INSTALL_TARGET_CMDS)
END
mkdir -p "$work/dist" "$work/target"
printf '#!/bin/sh\n' >"$work/dist/holdfast"
mk() { make -s -C "$work" BR2_EXTERNAL_HOLDFAST_PATH="$tree" DIST="$work/dist" TARGET_DIR="$work/target" "$@"; }
mk show | {
	read -r about
	[ "$about" = "local $work/dist NO Apache-2.0" ] || stop "the package is: $about"
	set -f
	read -r -a user
	[ "${#user[@]}" = 9 ] || stop "the users table has ${#user[@]} columns: ${user[*]}"
	grep -q "^${user[0]}:[^:]*:${user[1]}:${user[3]}:" board/common/rootfs/etc/passwd || stop "its user is another than in board/common/rootfs"
}
mk "$work/dist/stamp"
[ -x "$work/target/usr/bin/holdfast" ] || stop "the program is not installed"
echo "package: as Buildroot wants it"

# Every applet that the image names is one that busybox knows.
if command -v busybox >/dev/null; then
	grep -hv '^#' board/common/applets board/common/initrd/applets | tr ' ' '\n' | while read -r a; do
		[ -z "$a" ] || busybox --list | grep -qx "$a" || stop "busybox has no $a"
	done
fi

# The scripts, with stand-ins.
for board in qemu-virt rpi4; do
	images=$work/$board/images target=$work/$board/target
	mkdir -p "$images/rpi-firmware" "$target"/{bin,sbin,etc/init.d,usr/bin}
	cp -r board/common/rootfs/. "$target"
	touch "$target/etc/init.d/"{rcS,S01syslogd} "$images/u-boot.bin" "$images/bcm2711-rpi-4-b.dtb" "$images/rpi-firmware/"{bootcode.bin,start.elf,fixup.dat,start4.elf,fixup4.dat}
	printf '#!/bin/sh\n' >"$target/bin/busybox"
	head -c 3000000 /dev/urandom >"$images/Image"
	buildroot/board/post-build.sh "$target" "$board"
	if [ -e "$target/etc/init.d/S01syslogd" ] || [ ! -x "$target/etc/init.d/boot" ]; then stop "$board: the wrong start scripts"; fi
	grep -q "^BOARD=$board\$" "$target/etc/holdfast-release" || stop "$board: the release file"
	mksquashfs "$target" "$images/rootfs.squashfs" -no-progress -quiet -all-root
	TARGET_DIR=$target buildroot/board/post-image.sh "$images" "$board" >"$work/log" 2>&1 || { tail -n 20 "$work/log" >&2; stop "$board: post-image.sh"; }
	card=$images/holdfast/card.img
	[ "$(od -An -tx4 -j440 -N4 "$card" | tr -d ' ')" = 48465354 ] || stop "$board: the card has another signature"
	start=$(od -An -tu4 -j454 -N4 "$card" | tr -d ' ')
	mcopy -i "$card@@$((start * 512))" ::boot.scr "$work/boot.scr"
	tail -c +73 "$work/boot.scr" | cmp - <(cat "board/$board/boot.cmd" board/common/boot.cmd) || stop "$board: another boot script"
	mcopy -n -i "$card@@$((start * 512))" ::slot-a/boot.img "$work/$board/boot.img"
	made=$images/holdfast/slot/boot.img
	cmp -n "$(stat -c %s "$made")" "$made" "$work/$board/boot.img" || stop "$board: another boot file on the card"
	[ "$(mkimage -l "$made" | grep -c '^   Image [01]:')" = 2 ] || stop "$board: the slot's boot file has not two parts"
	echo "$board: a card, $(stat -c %s "$card") bytes"
done
echo "check-buildroot: good"
