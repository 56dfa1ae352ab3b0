#!/usr/bin/env bash
# fetch.sh - Debian's arm64 packages of a board, fetched with apt into a folder of their own; this machine's own lists,
# packages and architectures are not touched. Signatures are checked as always (debian-archive-keyring).
# usage: fetch.sh FOLDER NAME PACKAGE...   unpacks into FOLDER/root-NAME; writes what it is to FOLDER/NAME.list, lines
#        package version architecture sha256 source source-version
# What is there already is kept, so that two builds are of the same parts; REFRESH=1 looks for newer ones.
# DEBIAN_MIRROR and DEBIAN_SECURITY_MIRROR say where to fetch from.
set -euo pipefail
[ $# -ge 3 ] || { sed -n 2,8p "$0" >&2; exit 2; }
mkdir -p "$1"
dir=$(realpath "$1")
list=$dir/$2.list root=$dir/root-$2 wanted=${*:3}
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
security=${DEBIAN_SECURITY_MIRROR:-http://deb.debian.org/debian-security}

if [ -z "${REFRESH:-}" ] && [ -s "$list" ] && [ "$(head -1 "$list")" = "# $wanted" ] && [ -d "$root" ]; then exit 0; fi

apt=$dir/apt
mkdir -p "$apt"/{lists/partial,cache/archives/partial,debs}
: >"$apt/status"
from="arch=arm64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg"
cat >"$apt/sources.list" <<-END
	deb [$from] $mirror bookworm main non-free-firmware
	deb [$from] $mirror bookworm-updates main non-free-firmware
	deb [$from] $security bookworm-security main non-free-firmware
END
cat >"$apt/apt.conf" <<-END
	Dir "$apt";
	Dir::State "$apt";
	Dir::State::status "$apt/status";
	Dir::State::lists "$apt/lists";
	Dir::Cache "$apt/cache";
	Dir::Etc::sourcelist "$apt/sources.list";
	Dir::Etc::sourceparts "-";
	Dir::Etc::preferencesparts "-";
	APT::Architecture "arm64";
	APT::Architectures { "arm64"; };
	Acquire::Languages "none";
	Acquire::Retries "5";
END
[ "$(id -u)" != 0 ] || echo 'APT::Sandbox::User "root";' >>"$apt/apt.conf" # the folder may be closed to _apt
export APT_CONFIG=$apt/apt.conf

apt-get -qq update

# A name that stands for another package (linux-image-arm64) is replaced by what it depends on.
packages=()
for p in $wanted; do
	if [ "$p" = linux-image-arm64 ]; then
		p=$(apt-cache depends "$p" | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -1)
	fi
	packages+=("$p")
done

cd "$apt/debs"
apt-get -qq download "${packages[@]}"
rm -rf "$root" "$root.new"
mkdir "$root.new"
{
	echo "# $wanted"
	for p in "${packages[@]}"; do
		about=$(apt-cache show --no-all-versions "$p")
		field() { sed -n "s/^$1: //p" <<<"$about" | head -1; }
		version=$(field Version)
		deb=${p}_${version//:/%3a}_$(field Architecture).deb
		echo "$(field SHA256)  $deb" | sha256sum --check --quiet >&2
		dpkg-deb -x "$deb" "$root.new"
		# "Source: name (version)"; without it, or without the version, the package's own.
		source=$(field Source)
		case $source in
		'') source="$p $version" ;;
		*'('*) source=$(tr -d '()' <<<"$source") ;;
		*) source="$source $version" ;;
		esac
		echo "$p $version $(field Architecture) $(field SHA256) $source"
	done
} >"$list.new"
mv "$root.new" "$root"
mv "$list.new" "$list"
