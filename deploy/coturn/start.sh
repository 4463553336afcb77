#!/bin/sh
# Start coturn: it takes a secret from its configuration or its arguments only, and everybody may read arguments.
#
#   TURN_HOST                     how agents reach this server, name or IPv4 address; empty if by its own address
#   TURN_PORT                     where it listens for UDP and TCP
#   TURN_MIN_PORT TURN_MAX_PORT   where it relays
#   /run/secrets/turn.secret      shared with signaling; turn-old.secret beside it while it changes
#   /etc/coturn/tls/{cert,key}.pem  for turns:, if they are there
set -eu
umask 077
conf=/tmp/turnserver.conf
tls=/etc/coturn/tls
own="$(hostname -i)"
own="${own%% *}"
min="${TURN_MIN_PORT:-49152}"
max="${TURN_MAX_PORT:-65535}"

die() { echo "start: $*" >&2; exit 2; }

secrets() {
  [ -s /run/secrets/turn.secret ] || die "there is no /run/secrets/turn.secret"
  for file in /run/secrets/turn.secret /run/secrets/turn-old.secret; do
    [ ! -s "$file" ] || echo "static-auth-secret=$(cat "$file")"
  done
}

addresses() {
  echo "relay-ip=$own"
  echo "allowed-peer-ip=$own"
  [ -n "${TURN_HOST:-}" ] || return 0
  public="$(getent ahostsv4 "$TURN_HOST" | head -n 1)"
  public="${public%% *}"
  [ -n "$public" ] || die "nobody knows the address of $TURN_HOST"
  [ "$public" = "$own" ] || echo "external-ip=$public/$own" "allowed-peer-ip=$public" | tr ' ' '\n'
}

transports() {
  if [ -r "$tls/cert.pem" ] && [ -r "$tls/key.pem" ]; then
    echo "cert=$tls/cert.pem"
    echo "pkey=$tls/key.pem"
  else
    echo no-tls
  fi
}

{
  cat /etc/coturn/turnserver.conf
  secrets
  addresses
  transports
  echo "listening-port=${TURN_PORT:-3478}"
  echo "min-port=$min"
  echo "max-port=$max"
  echo "total-quota=$((max - min + 1))"
  # Before 4.9 the rules for IPv4 did not hold for its addresses mapped into IPv6; later this one would forbid all.
  case "$(turnserver --version 2>/dev/null | tail -n 1)" in
    *4.[0-8].*) echo "denied-peer-ip=::ffff:0.0.0.0-::ffff:255.255.255.255" ;;
  esac
} >"$conf"
exec aiconexus-turn -c "$conf"
