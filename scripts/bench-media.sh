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
[ "${1:-}" = soak ] || scripts/deps.sh bench-media >&2
mkdir -p dist/host
CGO_ENABLED=0 go build -trimpath -o dist/host/bench-media ./scripts/bench-media
dist/host/bench-media "$@"
