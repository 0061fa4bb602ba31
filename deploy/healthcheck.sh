#!/usr/bin/env bash
# Asks the metrics port whether the server is alive, with the shell's own sockets: no curl, no second interpreter. Only a
# page that speaks TLS (`metrics-tls`) is asked by Python, which nobody has to trust: it comes from this very container.
#
# The server names the thread that serves the page after its port, metrics-9121, or metrics-9121s with TLS: so the port is
# found that is in use, however it was configured, or changed since. A server without the page is alive as long as its threads are there.
set -eu

# Where processes are: only tests have another place. The container's own process is the first, if there is no init.
proc=${HEALTHCHECK_PROC:-/proc}
port=
serves=
for comm in "$proc"/1/task/*/comm "$proc"/[0-9]*/task/*/comm; do
    # A thread may end while it is looked at.
    { IFS= read -r name <"$comm"; } 2>/dev/null || continue
    case "$name" in
        metrics-[0-9]*) port=${name#metrics-}; break ;;
        sherd-io-*) serves=yes ;;
    esac
done
if [ -z "$port" ]; then
    [ -n "$serves" ] || { echo "no server runs" >&2; exit 1; }
    exit 0
fi

case "$port" in
    *s) exec python3 -c '
import http.client, ssl, sys
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
connection = http.client.HTTPSConnection("127.0.0.1", int(sys.argv[1]), timeout=2, context=context)
connection.request("GET", "/healthz")
sys.exit(connection.getresponse().status != 200)
' "${port%s}" ;;
esac

exec 3<>"/dev/tcp/127.0.0.1/$port"
printf 'GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3
IFS= read -r -t 2 status <&3
case "$status" in
    HTTP/1.?" 200"*) exit 0 ;;
    *) echo "healthz answered: $status" >&2; exit 1 ;;
esac
