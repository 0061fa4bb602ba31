#!/usr/bin/env bash
# Asks the metrics port whether the server is alive, with the shell's own sockets: no curl, no second interpreter.
set -eu

port=${SHERD_METRICS_PORT:-9121}
[ "$port" != 0 ] || exit 0
exec 3<>"/dev/tcp/127.0.0.1/$port"
printf 'GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3
IFS= read -r -t 2 status <&3
case "$status" in
    HTTP/1.?" 200"*) exit 0 ;;
    *) echo "healthz answered: $status" >&2; exit 1 ;;
esac
