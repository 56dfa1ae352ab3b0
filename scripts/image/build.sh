#!/usr/bin/env bash
# build.sh - the card's image of a board, out of the program and Debian's packages. board/README.md describes the result.
# usage: build.sh BOARD HOLDFAST-BINARY VERSION COMMIT      (make image BOARD=...)
# Needs no root and no loop mounts. The same commit, packages and tools give the same bytes.
set -euo pipefail
[ $# = 4 ] || { sed -n 2,4p "$0" >&2; exit 2; }
cd "$(dirname "$(realpath "$0")")/../.."
board=$1 program=$2 version=$3 commit=$4
here=$PWD/board/$board common=$PWD/board/common
[ -f "$here/board.conf" ] || { echo "no board is called \"$board\"; there are: $(cd board && echo */board.conf | sed 's,/board.conf,,g; s/common //')" >&2; exit 2; }
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y board/README.md)}
export SOURCE_DATE_EPOCH E2FSPROGS_FAKE_TIME=$SOURCE_DATE_EPOCH E2FSCK_TIME=$SOURCE_DATE_EPOCH TZ=UTC LC_ALL=C
umask 022
limit=$((64 << 20))          # of the compressed image
boot_file=$((20 << 20))      # fixed size of a slot's boot file
slot=$((96 << 20))           # size of a slot's partition

step_n=0
step() { # title, command...
	step_n=$((step_n + 1))
	printf '  [%d/7] %-34s' $step_n "$1"
	local begun=${EPOCHREALTIME/./}
	local rc=0
	set +e # inside a condition, bash would ignore every failure within the step
	(set -e; "${@:2}") >"$log" 2>&1
	rc=$?
	set -e
	[ $rc = 0 ] || { echo failed; tail -n 30 "$log" >&2; exit 1; }
	local took=$((${EPOCHREALTIME/./} - begun))
	printf '%3d.%d s\n' $((took / 1000000)) $((took / 100000 % 10))
}
log=$(mktemp)
work=$(mktemp -d)
trap 'rm -rf "$log" "$work"' EXIT
out=$PWD/dist/image/$board
rm -rf "$out"
mkdir -p "$out/slot"

# shellcheck source=/dev/null
. "$common/board.conf"
# shellcheck source=/dev/null
. "$here/board.conf"
# shellcheck source=scripts/image/parts.sh
. scripts/image/parts.sh

echo "holdfast $version for $board"
cache=$PWD/.cache/debian
# shellcheck disable=SC2086,SC2154 # lists of words, from board.conf
step "Debian's packages" scripts/image/fetch.sh "$cache" "$board" $packages
debian=$cache/root-$board
kernel=$(cd "$debian/lib/modules" && echo *)
step 'parts list, licences' parts_list
step 'kernel and initrd' boot_image
step 'root file system' root_image
step 'boot partition' boot_partition
step 'card' card
step 'compression' compress
size=$(stat -c %s "$out/card.img.zst")
find "$out" -type f -printf '  %10s  %P\n' | sort -k 2
echo "  compressed: $((size >> 20)) MiB of $((limit >> 20)) MiB allowed; kernel $kernel"
[ "$size" -le "$limit" ] || { echo "the image is too large" >&2; exit 1; }
