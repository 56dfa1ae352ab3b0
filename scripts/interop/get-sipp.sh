#!/usr/bin/env bash
# get-sipp.sh - a SIPp with TLS and SRTP, beside the system; does nothing when it is there.
# usage: get-sipp.sh [--path]        --path prints where the program is (or will be) and does nothing else
#
# Debian 12's own SIPp 3.6.1 is built without TLS, and so without SRTP; trixie's 3.7.3 has both but fails on every
# TLS write. So the newest suite's package is fetched with its libraries through apt, with lists and a cache of
# its own: nothing is installed on the machine. It is unpacked into the user's cache, where a wrapper
# starts it with that suite's dynamic loader.
set -euo pipefail
suite=sid
dir=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/holdfast/sipp-$suite
case ${1:-} in
--path) echo "$dir/sipp"; exit ;;
'') ;;
*) sed -n 2,3p "$0"; exit 2 ;;
esac
[ ! -x "$dir/sipp" ] || exit 0
[ "$(dpkg --print-architecture)" = amd64 ] || { echo "get-sipp.sh: only amd64 is prepared for" >&2; exit 1; }

echo "fetching SIPp with TLS from Debian $suite"
mirror=$(awk '/^URIs:/ {print $2; exit}' /etc/apt/sources.list.d/debian.sources 2>/dev/null || true)
[ -n "$mirror" ] || mirror=$(awk '$1 == "deb" && $0 ~ /debian/ {for (i = 2; i <= NF; i++) if ($i ~ /^http/) {print $i; exit}}' /etc/apt/sources.list 2>/dev/null || true)
[ -n "$mirror" ] || { echo "get-sipp.sh: no Debian mirror is configured on this machine" >&2; exit 1; }

mkdir -p "$(dirname "$dir")"
tmp=$(mktemp -d "$dir.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp"/apt/{lists/partial,cache/archives/partial,parts} "$tmp/root"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$tmp/apt/sources.list"
cat >"$tmp/apt/apt.conf" <<CONF
Dir::State::lists "$tmp/apt/lists";
Dir::State::status "/dev/null";
Dir::Cache "$tmp/apt/cache";
Dir::Etc::sourcelist "$tmp/apt/sources.list";
Dir::Etc::sourceparts "$tmp/apt/parts";
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::Retries "5";
APT::Sandbox::User "root";
CONF
apt=(apt-get -q -c "$tmp/apt/apt.conf" -o Debug::NoLocking=1)
if ! { "${apt[@]}" update && "${apt[@]}" -y --download-only install sip-tester; } >"$tmp/log" 2>&1 </dev/null; then
	tail -n 20 "$tmp/log" >&2
	echo "get-sipp.sh: fetching failed" >&2
	exit 1
fi
for deb in "$tmp"/apt/cache/archives/*.deb; do
	case $(basename "$deb") in
	*python*) ;; # for a helper script of the package that nothing here uses
	*) dpkg-deb -x "$deb" "$tmp/root" ;;
	esac
done
rm -rf "$tmp/apt"
cat >"$tmp/sipp" <<'RUN'
#!/bin/sh
root=$(dirname "$(realpath "$0")")/root
lib=$root/usr/lib/x86_64-linux-gnu
exec "$lib/ld-linux-x86-64.so.2" --library-path "$lib:$root/lib/x86_64-linux-gnu" "$root/usr/bin/sipp" "$@"
RUN
chmod 755 "$tmp" "$tmp/sipp"
version=$("$tmp/sipp" -v 2>&1 || true) # it exits with 99
[[ $version == *TLS* ]] || { echo "get-sipp.sh: what was fetched does not run, or has no TLS: $version" >&2; exit 1; }
mv -T "$tmp" "$dir" 2>/dev/null || [ -x "$dir/sipp" ] # another run may have been first
