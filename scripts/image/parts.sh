#!/usr/bin/env bash
# The steps of build.sh, which reads this file and says what the variables are.
# shellcheck disable=SC2154 # set by build.sh and board.conf

# modules FOLDER NAME... - copies kernel modules and what they need into FOLDER/lib/modules, with an index for modprobe.
modules() {
	local from=$debian/lib/modules/$kernel to=$1/lib/modules/$kernel name file
	shift
	[ -f "$from/modules.dep" ] || depmod -b "$debian" "$kernel"
	mkdir -p "$to"
	cp "$from"/modules.builtin "$from"/modules.builtin.modinfo "$from"/modules.order "$to"
	for name; do
		# Dashes and underscores are the same to the kernel; a name may be that of a built-in one.
		file=$(awk -F: -v want="${name//-/_}" '{ n = $1; sub(".*/", "", n); sub(/\.ko.*/, "", n); gsub("-", "_", n); if (n == want) print $1 $2 }' "$from/modules.dep")
		[ -n "$file" ] || { echo "this kernel has no module $name"; return 1; }
		for f in $file; do
			mkdir -p "$to/${f%/*}"
			cp "$from/$f" "$to/$f"
		done
	done
	depmod -b "${to%/lib/modules/*}" "$kernel"
	rm -f "$to"/modules.{devname,symbols,symbols.bin,softdep,order,builtin.modinfo,builtin.alias.bin}
}

# busybox FOLDER NAME... - busybox and its names in FOLDER/bin.
busybox() {
	local to=$1/bin name
	shift
	install -Dm 755 "$debian/bin/busybox" "$to/busybox"
	for name; do ln -s busybox "$to/$name"; done
}

applets() { grep -v '^#' "$1"; }

parts_list() {
	mkdir -p "$work/share"
	go run ./scripts/image/sbom -packages "$cache/$board.list" -docs "$debian/usr/share/doc" -program "$program" \
		-version "$version" -board "$board" -epoch "$SOURCE_DATE_EPOCH" -out "$work/share"
	cp "$work/share/sbom.spdx.json" "$out"
}

boot_image() {
	local initrd=$work/initrd
	mkdir -p "$initrd"/{bin,boot,etc,proc,sys,dev,root}
	# shellcheck disable=SC2046,SC2086
	busybox "$initrd" $(applets "$common/initrd/applets")
	ln -s bin "$initrd/sbin"
	cp "$common/initrd/init" "$initrd/init"
	go run ./scripts/image/commands "$initrd"
	# shellcheck disable=SC2086
	modules "$initrd" $initrd_modules
	tr -s ' \t' '\n' <<<"$initrd_modules" >"$initrd/etc/modules"
	find "$initrd" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
	(cd "$initrd" && find . | sort | cpio -o -H newc --reproducible --quiet -R +0:+0) | gzip -9n >"$work/initrd.gz"
	gzip -9nc "$debian/boot/vmlinuz-$kernel" >"$work/kernel.gz"
	mkimage -A arm64 -O linux -T multi -C none -n "holdfast $version" -d "$work/kernel.gz:$work/initrd.gz" "$out/slot/boot.img"
	[ "$(stat -c %s "$out/slot/boot.img")" -le "$boot_file" ] || { echo "kernel and initrd do not fit into $boot_file bytes"; return 1; }
}

# seal FILE - puts behind a squashfs what it has to be, so that the box can read it back (board/README.md, "The slot's seal").
seal() {
	local sum
	truncate -s %4096 "$1"
	sum=$(sha256sum <"$1")
	printf 'holdfast-root 1 %s %s\n' "$(stat -c %s "$1")" "${sum%% *}" | dd of="$1" bs=4096 iflag=fullblock oflag=append conv=sync,notrunc status=none
}

root_image() {
	local root=$work/root
	mkdir -p "$root"/{bin,boot,dev,lib,proc,root,run,sys,tmp,usr/bin,usr/share,var/lib/holdfast,etc/ssl/certs}
	ln -s bin "$root/sbin"
	cp -r "$common/rootfs/." "$root"
	# shellcheck disable=SC2046
	busybox "$root" init $(applets "$common/applets")
	install -m 755 "$debian/sbin/e2fsck.static" "$root/bin/e2fsck.static"
	install -m 755 "$program" "$root/usr/bin/holdfast"
	ln -s /run/holdfast-net/resolv.conf "$root/etc/resolv.conf"
	find "$debian/usr/share/ca-certificates/mozilla" -name '*.crt' | sort | xargs cat >"$root/etc/ssl/certs/ca-certificates.crt"
	# shellcheck disable=SC2086
	modules "$root" $root_modules
	tr -s ' \t\n' '\n' <<<"$load_at_start" >"$root/etc/modules"
	printf 'VERSION=%s\nCOMMIT=%s\nBOARD=%s\nSLOT_FORMAT=1\nTIME=%s\n' "$version" "$commit" "$board" "$SOURCE_DATE_EPOCH" >"$root/etc/holdfast-release"
	if [ -f "${UPDATE_KEY:-update.key}.pub" ]; then cp "${UPDATE_KEY:-update.key}.pub" "$root/etc/holdfast/update.pub"; fi # whose updates it takes
	cp "$root/etc/holdfast-release" "$out/slot/release"
	cp -r "$work/share" "$root/usr/share/holdfast"
	go run ./scripts/image/commands "$root" reboot /sbin/modprobe # what the updater and the kernel run
	mksquashfs "$root" "$out/slot/root.squashfs" -noappend -all-root -no-xattrs -no-progress -comp zstd -Xcompression-level 19 -b 256K
	seal "$out/slot/root.squashfs"
	[ "$(stat -c %s "$out/slot/root.squashfs")" -le "$slot" ] || { echo "the root does not fit into its partition"; return 1; }
}

# uboot FROM TO - U-Boot with the board's changes of its built-in environment.
uboot() { go run ./scripts/image/ubootenv -in "$1" -out "$2" "${uboot_env[@]}"; }

# state VALUES... - one file of the boot state, as U-Boot's "env export -c -s 200" writes it.
state() { mkenvimage -s 512 -p 0 -o "$1" - < <(printf '%s\n' "${@:2}"); }

boot_partition() {
	local boot=$work/card/boot name
	mkdir -p "$boot"/{state,slot-a,slot-b}
	cat "$here/boot.cmd" "$common/boot.cmd" >"$work/boot.cmd"
	mkimage -A arm64 -O linux -T script -C none -n 'holdfast boot' -d "$work/boot.cmd" "$boot/boot.scr"
	for name in a b; do
		cp "$out/slot/boot.img" "$boot/slot-$name/boot.img"
		truncate -s "$boot_file" "$boot/slot-$name/boot.img"
	done
	state "$boot/state/0" failed=0 good=a seq=1 slot=a tries=0
	state "$boot/state/1" failed=0 good=a seq=2 slot=a tries=0
	truncate -s 16384 "$boot/state/room" # for the box's list of mistakes on a card that is full
	cp "$common/README.txt" "$boot/README.txt"
	if [ -f "$here/overlay.dts" ]; then
		mkdir -p "$boot/overlays"
		dtc -q -@ -I dts -O dtb -o "$boot/overlays/holdfast.dtbo" "$here/overlay.dts"
	fi
	if [ "$board" = qemu-virt ]; then firmware "$debian" "$out"; else firmware "$debian" "$boot"; fi
	sed 's/$/\r/' firmware/config/example.toml >"$boot/holdfast.example.toml"
	sed 's/$/\r/' sip/site/testdata/example.json >"$boot/site.example.json"
}

card() {
	mkdir -p "$work/card/data" "$work/in" "$work/tmp"
	cp "$out/slot/root.squashfs" "$work/in/root.squashfs"
	find "$work/card" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
	genimage --config "$common/genimage.cfg" --rootpath "$work/card" --inputpath "$work/in" --outputpath "$out" --tmppath "$work/tmp"
	rm -f "$out/boot.vfat" "$out/data.ext4"
}

compress() { zstd -q -T0 -15 --long=27 -o "$out/card.img.zst" "$out/card.img"; }
