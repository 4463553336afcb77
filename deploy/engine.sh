#!/bin/sh
# deploy/engine.sh start|stop|status -- a container engine with Compose v2, on a machine without one.
#
# start   does nothing where an engine already answers; otherwise installs what lacks from Debian
#         (as root) and runs dockerd in the background
# stop    ends the dockerd that `start` began, and no other
# status  says which engine answers; exit code 1 if none does
set -eu

here="$(cd "$(dirname "$0")" && pwd)"
state=/run/aiconexus-engine
plugins=/usr/local/lib/docker/cli-plugins
export DEBIAN_FRONTEND=noninteractive
export LC_ALL=C
PATH="$PATH:/usr/sbin:/sbin" # dockerd and iptables, for a user whose PATH leaves these out

say() { echo "engine: $*" >&2; }
die() { say "$*"; exit 1; }

answers() { docker info >/dev/null 2>&1; }
has_plugin() { docker "$1" version >/dev/null 2>&1; }

# A dead dockerd stays in the process table where pid 1 reaps nothing, and its number may be
# another program's after a restart: only the executable tells.
is_dockerd() {
  case "$(readlink "/proc/$1/exe" 2>/dev/null)" in */dockerd) return 0 ;; *) return 1 ;; esac
}

ours() {
  pid="$(cat "$state/docker.pid" 2>/dev/null)" && [ -n "$pid" ] && is_dockerd "$pid"
}

need_apt() {
  command -v apt-get >/dev/null || die "install $1, then run this again"
}

update_lists_once() {
  [ -n "${updated:-}" ] && return
  apt-get -qq update || say "some package lists could not be read; going on with the others"
  updated=1
}

install_engine() {
  need_apt "the Docker engine"
  update_lists_once
  say "installing docker.io"
  apt-get -qq install -y --no-install-recommends docker.io iptables >"$state/install.log" 2>&1 ||
    { tail -n 20 "$state/install.log" >&2; die "docker.io could not be installed"; }
  command -v docker >/dev/null || # a package of its own from Debian 13 on
    apt-get -qq install -y --no-install-recommends docker-cli >>"$state/install.log" 2>&1 ||
    die "docker-cli could not be installed"
}

# Debian 12 has Compose v1 only. The files of 13 need nothing but libc, so they are unpacked
# beside the system's packages instead of installed.
install_plugins() {
  need_apt "Docker's plugins $*"
  update_lists_once
  mirror="$("$here/debian-mirror.sh")" || die "install Docker's plugins $*, then run this again"
  say "unpacking $* of Debian 13"
  work="$(mktemp -d)"
  mkdir -p "$work/lists/partial" "$work/archives/partial" "$plugins"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" \
    >"$work/trixie.list"
  (
    cd "$work"
    apt_trixie() {
      apt-get -qq -o APT::Sandbox::User=root -o Dir::Etc::sourcelist="$work/trixie.list" \
        -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists="$work/lists" \
        -o Dir::Cache="$work" -o Dir::Etc::preferencesparts=/dev/null "$@"
    }
    apt_trixie update
    apt_trixie download "$@"
    for package in ./*.deb; do dpkg-deb -x "$package" "$work/root"; done
    cd root/usr/libexec/docker
    for plugin in cli-plugins/*; do
      install -m 755 "$plugin" "$plugins/"
    done
  ) || { rm -rf "$work"; die "$* could not be unpacked"; }
  rm -rf "$work"
}

start_dockerd() {
  ours || rm -f "$state/docker.pid"
  say "starting dockerd"
  # Descriptor 9 is the lock: a daemon that inherits it would hold it for ever.
  setsid dockerd --pidfile "$state/docker.pid" >"$state/dockerd.log" 2>&1 </dev/null 9>&- &
  daemon=$!
  tries=0
  until answers; do
    tries=$((tries + 1))
    if [ "$tries" -gt 120 ] || ! readlink "/proc/$daemon/exe" >/dev/null; then
      tail -n 20 "$state/dockerd.log" >&2
      die "dockerd did not come up; its log is $state/dockerd.log"
    fi
    sleep 0.5
  done
}

start() {
  if answers && has_plugin compose; then
    status
    return
  fi
  [ "$(id -u)" = 0 ] || die "start Docker and its compose plugin, or run this as root"
  mkdir -p "$state"
  exec 9>"$state/lock"
  flock 9 # two starts at once: the second finds the engine of the first
  if ! answers; then
    { command -v dockerd && command -v iptables; } >/dev/null || install_engine
  fi
  lacking=
  has_plugin compose || lacking=docker-compose
  has_plugin buildx || lacking="$lacking docker-buildx"
  # shellcheck disable=SC2086 # a list of package names
  [ -z "$lacking" ] || install_plugins $lacking
  answers || start_dockerd
  status
}

stop() {
  if ! ours; then
    say "none of ours runs"
    return
  fi
  kill -TERM "$pid"
  tries=0
  while is_dockerd "$pid"; do
    tries=$((tries + 1))
    [ "$tries" -le 120 ] || die "dockerd ($pid) does not stop"
    sleep 0.5
  done
  rm -f "$state/docker.pid"
  say "stopped"
}

status() {
  answers || { say "none answers"; return 1; }
  say "$(docker info --format '{{.ServerVersion}}, {{.Driver}}, cgroup v{{.CgroupVersion}}')," \
    "compose $(docker compose version --short 2>/dev/null || echo missing)"
}

case "${1:-}" in
  start | stop | status) "$1" ;;
  *) die "usage: deploy/engine.sh start|stop|status" ;;
esac
