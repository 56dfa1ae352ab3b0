#!/usr/bin/env bash
# admin-test.sh - the admin page in headless Chromium, against the real box in the lab's branch.
# Pictures of every page go to dist/admin. axe-core (MPL-2.0) judges whether everybody can use them; it comes from npm
# when it is not there yet, and is no part of the product.
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/.."

version=4.14.1 sum=e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745
axe=$PWD/.cache/axe-core-$version
if [ ! -f "$axe/package/axe.min.js" ]; then
	rm -rf "$axe"
	mkdir -p "$axe"
	(
		cd "$axe"
		npm pack --loglevel=error --fetch-retries=5 "axe-core@$version" >/dev/null
		echo "$sum  axe-core-$version.tgz" | sha256sum --check --quiet
		tar -xzf "axe-core-$version.tgz" package/axe.min.js package/LICENSE
	)
fi
mkdir -p dist/admin
rm -f dist/admin/*.png
go test -tags browser -count=1 -timeout 5m ./firmware/admin/browser -box "$PWD/dist/host/holdfast" -axe "$axe/package/axe.min.js" -shots "$PWD/dist/admin" "$@"
echo "pictures: dist/admin"
