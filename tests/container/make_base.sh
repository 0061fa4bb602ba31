#!/bin/sh
# Makes what the image is built upon, without a registry of images: a small root of this machine's own Debian.
#
#   make_base.sh FOLDER
#
# FOLDER/root is the root afterwards. Idempotent: a root that is whole is kept. The mirror is the one that apt uses.
set -eu

folder=$1
[ "$(id -u)" = 0 ] || { echo "make_base.sh: needs root" >&2; exit 1; }
[ ! -e "$folder/done" ] || exit 0

. /etc/os-release
mirror=$(apt-get indextargets --format '$(SITE)|$(RELEASE)' 'Created-By: Packages' |
    awk -F '|' -v suite="$VERSION_CODENAME" '$2 == suite { print $1; exit }')
[ -n "$mirror" ] || { echo "make_base.sh: apt has no mirror of $VERSION_CODENAME" >&2; exit 1; }

rm -rf "$folder/root"
mkdir -p "$folder/root"
debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates "$VERSION_CODENAME" "$folder/root" "$mirror"
: >"$folder/done"
