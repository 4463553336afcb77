#!/bin/sh
# deploy/debian-mirror.sh -- print the Debian mirror that this machine's apt uses.
set -eu

mirror() {
  # shellcheck disable=SC2016 # apt's own placeholder
  apt-get indextargets --format '$(REPO_URI)' \
    'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | head -n 1
}

found="$(mirror)"
if [ -z "$found" ]; then # who the origin is stands in the lists, which a fresh machine lacks
  apt-get -qq update >&2 || true
  found="$(mirror)"
fi
[ -n "$found" ] || { echo "debian-mirror: none in apt's sources" >&2; exit 1; }
echo "$found"
