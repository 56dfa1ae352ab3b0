#!/usr/bin/env bash
# fuzz.sh - runs every fuzz target of the module, one after the other.
# usage: fuzz.sh DURATION        for each target, such as 30s
set -euo pipefail
[ $# -eq 1 ] || { sed -n 2,3p "$0"; exit 2; }
cd "$(dirname "$(realpath "$0")")/.."

n=0
failed=()
log=$(mktemp)
trap 'rm -f "$log"' EXIT
while IFS=: read -r file name; do
	n=$((n + 1))
	echo "== ./$(dirname "$file") $name"
	if ! go test -run '^$' -fuzz "^$name\$" -fuzztime "$1" "./$(dirname "$file")" 2>&1 | tee "$log"; then
		# When the time ends while a worker is busy the go command may call that a failure. It has found nothing then.
		grep -q '^ *context deadline exceeded$' "$log" && ! grep -q 'Failing input' "$log" || failed+=("./$(dirname "$file") $name")
	fi
done < <(git ls-files -co --exclude-standard '*_test.go' | xargs -r grep -HoP '^func \KFuzz\w+' | sort)
[ $n -gt 0 ] || { echo "fuzz.sh: no fuzz target found" >&2; exit 1; }
if [ ${#failed[@]} -gt 0 ]; then
	printf 'fuzz: failed: %s\n' "${failed[@]}"
	exit 1
fi
echo "fuzz: $n targets, no failure"
