#!/bin/sh
# Installs the reference servers that compatibility tests and benchmarks compare against.
#
#   install_references.sh                       redis-server 7.0 and redis-tools by apt
#   install_references.sh --sid [FOLDER]        also a small Debian sid root (default /opt/ref/sid) that holds
#                                               Valkey 9.1 and Redis 8.0, since stable Debian has neither
#   install_references.sh --bin FOLDER          where the wrappers go (default /opt/ref/bin)
#   install_references.sh --sid --stale-mirror  accepts sid lists past their validity date, in the sid root only:
#                                               for a frozen mirror. Signatures and hashes are checked as ever.
#
# Each wrapper (redis7, redis8, valkey9, redis-cli, redis-benchmark, valkey-cli, valkey-benchmark, valkey-check-rdb,
# valkey-check-aof) ends in exec, so the pid that a caller starts is the server's own: its CPU time is read by that pid
# and it is stopped by it.
# The sid programs run with the sid root's own dynamic loader and libraries instead of in a chroot: no mounts to
# leak, no root rights to run, and files that a test writes are where the test put them. Containers were rejected
# because their network path costs CPU that the comparison would then charge to the server.
#
# Idempotent: what is there is kept. No mirror is named here: the one that apt is configured with is used.
set -eu

sid_root=""
bin_folder=/opt/ref/bin
valid_until=true
while [ $# -gt 0 ]; do
    case "$1" in
        --sid)
            sid_root=/opt/ref/sid
            if [ $# -gt 1 ] && [ "${2#-}" = "$2" ]; then
                sid_root=$2
                shift
            fi
            ;;
        --bin)
            [ $# -gt 1 ] || { echo "install_references.sh: --bin needs a folder" >&2; exit 2; }
            bin_folder=$2
            shift
            ;;
        --stale-mirror) valid_until=false ;;
        *)
            echo "usage: install_references.sh [--sid [FOLDER]] [--stale-mirror] [--bin FOLDER]" >&2
            exit 2
            ;;
    esac
    shift
done

[ "$(id -u)" = 0 ] || { echo "install_references.sh: needs root, for apt" >&2; exit 1; }
export DEBIAN_FRONTEND=noninteractive

# Package scripts start services; a policy that says no is the supported way to prevent it.
# An existing policy (containers ship one) is left as it is.
deny_services() {
    if [ ! -e "$1/usr/sbin/policy-rc.d" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$1/usr/sbin/policy-rc.d"
        chmod +x "$1/usr/sbin/policy-rc.d"
        return 0
    fi
    return 1
}

apt_lists_are_fresh=""
install_by_apt() {
    if [ -z "$apt_lists_are_fresh" ]; then
        apt-get update -q
        apt_lists_are_fresh=yes
    fi
    apt-get install -y -q --no-install-recommends "$@"
}

if ! command -v redis-server >/dev/null || ! command -v redis-benchmark >/dev/null; then
    policy_is_ours=""
    deny_services "" && policy_is_ours=yes
    install_by_apt redis-server redis-tools
    [ -z "$policy_is_ours" ] || rm -f /usr/sbin/policy-rc.d
fi

mkdir -p "$bin_folder"
write_wrapper() { # name, shell text after exec
    printf '#!/bin/sh\nexec %s "$@"\n' "$2" >"$bin_folder/$1.new"
    chmod +x "$bin_folder/$1.new"
    mv "$bin_folder/$1.new" "$bin_folder/$1"
}
write_wrapper redis7 /usr/bin/redis-server
write_wrapper redis-cli /usr/bin/redis-cli
write_wrapper redis-benchmark /usr/bin/redis-benchmark

# Package scripts want /proc; the mount lives in a namespace of its own and goes away with the command.
in_root() {
    unshare --mount sh -c 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"' "$sid_root" "$@"
}

if [ -n "$sid_root" ]; then
    mkdir -p "$sid_root"
    sid_root=$(cd "$sid_root" && pwd)
    if [ ! -e "$sid_root/etc/.bootstrapped" ]; then
        command -v debootstrap >/dev/null || install_by_apt debootstrap
        mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' |
            head -n 1)
        [ -n "$mirror" ] || { echo "install_references.sh: apt has no Debian mirror" >&2; exit 1; }
        # A root that broke halfway cannot be continued by debootstrap; it notices and says so.
        debootstrap --variant=minbase --include=ca-certificates sid "$sid_root" "$mirror"
        touch "$sid_root/etc/.bootstrapped"
    fi
    if [ ! -e "$sid_root/etc/.references-installed" ]; then
        deny_services "$sid_root" || true
        cp /etc/resolv.conf "$sid_root/etc/resolv.conf" 2>/dev/null || true
        in_root apt-get update -q -o Acquire::Check-Valid-Until="$valid_until" || {
            echo "install_references.sh: no sid lists; if the mirror is a frozen one, see --stale-mirror" >&2
            exit 1
        }
        in_root apt-get install -y -q --no-install-recommends \
            -o Acquire::Check-Valid-Until="$valid_until" \
            valkey-server valkey-tools redis-server redis-tools
        touch "$sid_root/etc/.references-installed"
    fi
    loader=$(find "$sid_root/usr/lib64" "$sid_root/usr/lib" -maxdepth 2 -name 'ld-linux*.so.*' | head -n 1)
    libraries=$(dirname "$(find "$sid_root/usr/lib" -name 'libc.so.6' | head -n 1)")
    [ -n "$loader" ] || { echo "install_references.sh: no dynamic loader under $sid_root" >&2; exit 1; }
    in_sid="$loader --library-path $libraries --argv0"
    # The servers decide by argv[0] whether they are a server or a file checker, hence --argv0.
    write_wrapper redis8 "$in_sid redis-server $sid_root/usr/bin/redis-server"
    write_wrapper valkey9 "$in_sid valkey-server $sid_root/usr/bin/valkey-server"
    for tool in valkey-cli valkey-benchmark valkey-check-rdb valkey-check-aof; do
        write_wrapper "$tool" "$in_sid $tool $sid_root/usr/bin/$tool"
    done
fi

for server in redis7 redis8 valkey9; do
    [ ! -x "$bin_folder/$server" ] || printf '%s: %s\n' "$server" "$("$bin_folder/$server" --version)"
done
