#!/bin/sh
# Written after the described behaviour of the official redis image's entry
# point, so that what works with that one works with this one.
set -e

case ${1-} in
    -* | *.conf) set -- redis-server "$@" ;;
esac

if [ "${1-}" = redis-server ] && [ "$(id -u)" = 0 ]; then
    find . ! -user redis -exec chown redis {} +
    exec su -p -s /bin/sh -- redis -c 'exec "$0" "$@"' "$0" "$@"
fi

# The official image is compiled with protected mode off, this server is not:
# add the setting, unless the caller has one or asks for something else.
speaks_of_protected_mode() {
    for arg; do
        case $arg in
            -v | --version | -h | --help | --test-memory | --protected-mode*) return 0 ;;
            *.conf) ! grep -qi '^[[:space:]]*protected-mode' "$arg" || return 0 ;;
        esac
    done
    return 1
}
if [ "${1-}" = redis-server ] && ! speaks_of_protected_mode "$@"; then
    set -- "$@" --protected-mode no
fi

[ "$(umask)" != 0022 ] || umask 0077

exec "$@"
