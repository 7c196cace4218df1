#!/bin/sh
# Fetches and unpacks Debian packages for the offline images that start from
# nothing, as their upstream images do. Runs in a container of the base:
#
#   docker run --rm --interactive BASE sh -s -- RELEASE/IMAGE=PACKAGE,PACKAGE … <packages.sh | tar --extract
#
# The tar archive on stdout has
#   RELEASE/busybox/         the root that upstream's images start from
#   RELEASE/IMAGE/packages/  that image's packages, unpacked and not set up
# Debian's own tools stay behind, so that a health check that works in an
# offline image works upstream.
set -eu
umask 022
mirror=$(sed -n '1s/^deb \([^ ]*\) .*/\1/p' /etc/apt/sources.list)
library=lib/$(uname -m)-linux-gnu
shared='busybox-static ca-certificates libc6 netbase tzdata'
mkdir /tmp/debs /tmp/debian /tmp/out

words() { # IMAGE… : the names of all their packages
    echo "$*" | sed 's/[^ ]*=//g' | tr ' ,' '\n\n' | sort -u
}

images_of() { # RELEASE IMAGE…
    release=$1
    shift
    for image; do
        case $image in "$release"/*) echo "$image" ;; esac
    done
}

unpack() { # RELEASE PACKAGE FOLDER
    mkdir -p "$3"
    dpkg-deb --extract "/tmp/debs/$1/$2"_*.deb "$3"
}

# Knows of this release alone, and of nothing that is installed here.
apt() { # RELEASE COMMAND…
    release=$1
    shift
    apt-get --quiet --quiet --option "Dir::Etc::SourceList=/tmp/debs/$release/sources" \
        --option Dir::Etc::SourceParts=/dev/null --option Dir::State::Status=/dev/null \
        --option APT::Sandbox::User=root "$@"
}

update() { # RELEASE
    mkdir "/tmp/debs/$1"
    # Releases that Debian no longer supports end up in its archive.
    for source in "$mirror" http://archive.debian.org/debian; do
        echo "deb $source $1 main" >"/tmp/debs/$1/sources"
        echo "deb $source-security $1-security main" >>"/tmp/debs/$1/sources"
        if apt "$1" update; then
            return
        fi
    done
    echo "Debian $1 cannot be had" >&2
    exit 1
}

for release in $(for image; do echo "${image%%/*}"; done | sort -u); do
    update "$release"
    # All of a release at once: apt reads its lists anew each time.
    # shellcheck disable=SC2046 # names of packages
    (cd "/tmp/debs/$release" && apt "$release" download $(words "$shared" $(images_of "$release" "$@")))

    for package in $shared; do
        unpack "$release" "$package" "/tmp/debian/$release"
    done
    # Since Debian 13 everything lies below /usr.
    cd "/tmp/debian/$release"
    cp -R usr/. .
    root=/tmp/out/$release/busybox
    for link in lib*/ld-linux-*; do
        install -D "$library/$(basename "$(readlink "$link")")" "$root/$link"
    done
    for name in libc libdl libm libnss_dns libnss_files libpthread libresolv librt; do
        install -D "$library/$name".so.* --target-directory "$root/$library"
    done
    cd "$root"
    mkdir -p bin etc/ssl/certs home root usr/bin usr/share var
    install -d -m 1777 tmp
    cp "/tmp/debian/$release/bin/busybox" bin/
    for applet in $(bin/busybox --list); do
        [ "$applet" = busybox ] || ln -s busybox "bin/$applet"
    done
    # Scripts name it by this path.
    ln -s /bin/env usr/bin/env
    cp "/tmp/debian/$release/etc/services" "/tmp/debian/$release/etc/protocols" etc/
    cp -R "/tmp/debian/$release/usr/share/zoneinfo" usr/share/
    cat "/tmp/debian/$release"/usr/share/ca-certificates/mozilla/*.crt >etc/ssl/certs/ca-certificates.crt
    echo 'hosts: files dns' >etc/nsswitch.conf
    printf '%s\n' root:x:0:0:root:/root:/bin/sh nobody:x:65534:65534:nobody:/home:/bin/false >etc/passwd
    printf '%s\n' root:x:0: nobody:x:65534: >etc/group
done

for image; do
    folder=/tmp/out/${image%%=*}/packages
    mkdir -p "$folder"
    for package in $(words "$image"); do
        unpack "${image%%/*}" "$package" "$folder"
    done
    rm -rf "$folder"/usr/share/doc "$folder"/usr/share/man "$folder"/usr/share/lintian
done
tar --create --numeric-owner --owner 0 --group 0 --directory /tmp/out .
