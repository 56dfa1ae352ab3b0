#!/usr/bin/env bash
# deps.sh - installs the Debian packages that a make target needs, and nothing when all is there.
# usage: deps.sh test|lint|monitoring|prompts|bench-media|bench-sip|admin-test|interop|image|buildroot|flash|qemu-test|arm64...
# Debian 12, amd64 for interop. Without root it says what to install and stops.
set -euo pipefail
[ $# -ge 1 ] || { sed -n 2,4p "$0"; exit 2; }
cd "$(dirname "$(realpath "$0")")"

want=()
sipp=
for what; do
	case $what in
	test) want+=(gcc libc6-dev libxml2-utils zstd iproute2 openssl) ;; # the race detector needs cgo; xmllint checks PIDF-LO documents against their schema; ip makes the networks of tests
	bench-media) want+=(rtpengine-daemon) ;;
	bench-sip) want+=(kamailio kamailio-tls-modules rtpengine-daemon gcc libc6-dev) ;;
	monitoring) want+=(prometheus gcc libc6-dev) ;; # promtool
	lint) want+=(shellcheck) ;;
	admin-test)
		want+=(chromium)
		command -v npm >/dev/null || want+=(npm) # axe-core
		;;
	image) want+=(genimage mtools dosfstools e2fsprogs squashfs-tools u-boot-tools device-tree-compiler kmod cpio zstd gzip xz-utils debian-archive-keyring) ;;
	buildroot) want+=(python3-kconfiglib shellcheck genimage mtools dosfstools e2fsprogs squashfs-tools u-boot-tools device-tree-compiler cpio gzip) ;;
	flash) want+=(zstd) ;;
	qemu-test) want+=(qemu-system-arm iproute2 mtools e2fsprogs squashfs-tools u-boot-tools) ;;
	arm64) want+=(qemu-user-static) ;;
	prompts) want+=(espeak-ng libopus-dev libbcg729-dev pkg-config gcc libc6-dev) ;;
	interop)
		want+=(baresip-core linphone-cli kamailio kamailio-tls-modules kamailio-outbound-modules tshark sngrep rsyslog rsyslog-gnutls
			python3 sox openssl iproute2 gcc libc6-dev)
		sipp=yes
		;;
	*)
		echo "deps.sh: nothing is called $what" >&2
		exit 2
		;;
	esac
done

missing=()
for p in "${want[@]}"; do
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null || true)" = installed ] || missing+=("$p")
done
# A compiler that did not come as a Debian package is as good.
if command -v cc >/dev/null && echo '#include <stdlib.h>' | cc -E - >/dev/null 2>&1; then
	keep=()
	for p in "${missing[@]}"; do [[ $p == gcc || $p == libc6-dev ]] || keep+=("$p"); done
	missing=("${keep[@]}")
fi

if [ ${#missing[@]} -gt 0 ]; then
	if [ "$(id -u)" != 0 ]; then
		echo "deps.sh: missing: ${missing[*]}" >&2
		echo "deps.sh: as root, run:  apt-get update && apt-get install -y --no-install-recommends ${missing[*]}" >&2
		exit 1
	fi
	echo "installing from Debian: ${missing[*]}"
	log=$(mktemp)
	# Kamailio's package, and others, would start a server on this machine; policy-rc.d keeps it from that.
	policy=/usr/sbin/policy-rc.d
	cleanup=("$log")
	if [ ! -e $policy ]; then
		printf '#!/bin/sh\nexit 101\n' >$policy
		chmod +x $policy
		cleanup+=("$policy")
	fi
	trap 'rm -f "${cleanup[@]}"' EXIT
	export DEBIAN_FRONTEND=noninteractive
	apt=(apt-get -q -o Acquire::Retries=5 -o DPkg::Lock::Timeout=300)
	if ! { "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
		tail -n 20 "$log" >&2
		echo "deps.sh: installing failed" >&2
		exit 1
	fi
fi

if [ -n "$sipp" ]; then interop/get-sipp.sh; fi
