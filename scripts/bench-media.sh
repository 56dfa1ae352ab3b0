#!/usr/bin/env bash
# bench-media.sh - Holdfast's media relay beside rtpengine's user-space relay, on this machine; installs rtpengine when it is missing.
# usage: bench-media.sh [flags of the bench, see -h]
#        bench-media.sh soak [flags, see -h]
# Root: rtpengine, and the relay, raise the priority of their threads. Only loopback is used.
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/.."

if [ "$(id -u)" != 0 ]; then
	echo "bench-media.sh: run it as root: both relays raise the priority of their threads" >&2
	exit 1
fi
if [ "${1:-}" != soak ] && ! command -v rtpengine >/dev/null; then
	echo "installing from Debian: rtpengine-daemon" >&2
	log=$(mktemp)
	# The package would start a server on this machine; policy-rc.d keeps it from that.
	policy=/usr/sbin/policy-rc.d
	cleanup=("$log")
	if [ ! -e $policy ]; then
		printf '#!/bin/sh\nexit 101\n' >$policy
		chmod +x $policy
		cleanup+=("$policy")
	fi
	trap 'rm -f "${cleanup[@]}"' EXIT
	export DEBIAN_FRONTEND=noninteractive
	if ! { apt-get -q update && apt-get -q install -y --no-install-recommends rtpengine-daemon; } >"$log" 2>&1 </dev/null; then
		tail -n 20 "$log" >&2
		echo "bench-media.sh: installing rtpengine failed" >&2
		exit 1
	fi
fi
mkdir -p dist/host
CGO_ENABLED=0 go build -trimpath -o dist/host/bench-media ./scripts/bench-media
dist/host/bench-media "$@"
