#!/usr/bin/env bash
# What the container runs first.
#
# Arguments that start with "-" or end in ".conf" go to the server, as people know it from the Redis image; anything
# else is a command of its own. As root the server gives up its rights before it starts; files it makes are its own.
set -eu

case "${1:-serve}" in
    -h | --help | -v | --version) set -- sherd "$@" ;;
    -* | *.conf) set -- sherd serve "$@" ;;
    serve | check-config | check-rdb | check-aof | cert) [ "$#" -gt 0 ] || set -- serve; set -- sherd "$@" ;;
esac

if [ "$1" = sherd ] && [ "${2:-}" = serve ]; then
    # A published port is a decision already, so protected mode would only hide the server from whoever published it.
    # A configuration file or a password shows that somebody has thought about access: then the default stays.
    case "${3:-}" in
        "" | --*)
            if [ -z "${SHERD_PROTECTED_MODE+x}${SHERD_REQUIREPASS+x}${SHERD_REQUIREPASS_FILE+x}" ] &&
                [ -z "${REDIS_PASSWORD+x}${REDIS_PASSWORD_FILE+x}${SHERD_ACLFILE+x}" ]; then
                export SHERD_PROTECTED_MODE=no
            fi
            ;;
    esac
    umask 0077
    if [ "$(id -u)" = 0 ]; then
        find . \! -user sherd -exec chown sherd '{}' + 2>/dev/null || true
        exec setpriv --reuid=sherd --regid=sherd --clear-groups --no-new-privs "$@"
    fi
fi

exec "$@"
