#!/bin/sh
# Fetches and unpacks Debian packages for the offline images that start from
# nothing, as their upstream images do. Runs in a container of the base:
#
#   docker run --rm --interactive BASE sh -s -- IMAGE=PACKAGE,PACKAGE … <packages.sh | tar --extract
#
# A package may name another release of Debian, as in cadvisor/bullseye.
# The tar archive on stdout has
#   busybox/          the root that upstream's images start from
#   IMAGE/packages/   that image's packages, unpacked and not set up
# Debian's own tools stay behind, so that a health check that works in an
# offline image works upstream.
set -eu
umask 022
mirror=$(sed -n '1s/^deb \([^ ]*\) .*/\1/p' /etc/apt/sources.list)
library=lib/$(uname -m)-linux-gnu
shared='busybox-static ca-certificates libc6 netbase tzdata'
mkdir /tmp/debs /tmp/debian /tmp/out

unpack() { # PACKAGE FOLDER
    mkdir -p "$2"
    dpkg-deb --extract "/tmp/debs/${1%/*}"_*.deb "$2"
}

apt-get update --quiet --quiet
for release in $(echo "$*" | tr ' ,' '\n\n' | sed -n 's|.*/||p' | sort -u); do
    # Releases that Debian no longer supports end up in its archive.
    for source in "$mirror" http://archive.debian.org/debian; do
        echo "deb $source $release main" >"/etc/apt/sources.list.d/$release.list"
        if apt-get update --quiet --quiet; then
            continue 2
        fi
    done
    echo "Debian $release cannot be had" >&2
    exit 1
done

# All at once: apt reads its lists anew each time.
(cd /tmp/debs && echo "$shared $*" | sed 's/[^ ]*=//g' | tr ' ,' '\n\n' | sort -u |
    xargs apt-get download --quiet --quiet --option APT::Sandbox::User=root)

for package in $shared; do
    unpack "$package" /tmp/debian
done
cd /tmp/debian
for file in lib*/ld-linux-* $library/libc.so.6 $library/libdl.so.2 $library/libpthread.so.0 $library/libresolv.so.2; do
    install -D "$file" "/tmp/out/busybox/$file"
done
cd /tmp/out/busybox
mkdir -p bin etc/ssl/certs home root usr/share var
install -d -m 1777 tmp
cp /tmp/debian/bin/busybox bin/
for applet in $(bin/busybox --list); do
    [ "$applet" = busybox ] || ln -s busybox "bin/$applet"
done
cp /tmp/debian/etc/services /tmp/debian/etc/protocols etc/
cp -R /tmp/debian/usr/share/zoneinfo usr/share/
cat /tmp/debian/usr/share/ca-certificates/mozilla/*.crt >etc/ssl/certs/ca-certificates.crt
echo 'hosts: files dns' >etc/nsswitch.conf
printf '%s\n' root:x:0:0:root:/root:/bin/sh nobody:x:65534:65534:nobody:/home:/bin/false >etc/passwd
printf '%s\n' root:x:0: nobody:x:65534: >etc/group

for image; do
    for package in $(echo "${image#*=}" | tr , ' '); do
        unpack "$package" "/tmp/out/${image%%=*}/packages"
    done
done
tar --create --numeric-owner --owner 0 --group 0 --directory /tmp/out .
