#!/usr/bin/env bash
# verify-build.sh - are the binaries in dist/ a function of the source alone?
# usage: verify-build.sh VERSION COMMIT TARGET...
# Copies the sources to another path, builds there with an empty build cache, and compares the bytes.
set -euo pipefail
[ $# -ge 3 ] || { sed -n 2,4p "$0"; exit 2; }
cd "$(dirname "$(realpath "$0")")/.."
version=$1 commit=$2
shift 2

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -co --exclude-standard -z | xargs -0 cp --parents -t "$copy" 2>/dev/null ||
	{ echo "verify-build.sh: cannot copy the sources (a tracked file is gone?)" >&2; exit 1; }
GOCACHE=$copy/.cache GOFLAGS=-mod=readonly make -C "$copy" VERSION="$version" COMMIT="$commit" "$@"
for t; do
	cmp "dist/$t/holdfast" "$copy/dist/$t/holdfast" || { echo "verify-build: $t differs" >&2; exit 1; }
	printf '%-14s %s\n' "$t" "$(sha256sum <"dist/$t/holdfast" | cut -c1-64)"
done
echo "verify-build: two builds, the same bytes"
