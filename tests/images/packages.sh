#!/bin/sh
# Fetches and unpacks the Debian packages of offline images that start from nothing.
#
#   docker run --rm --interactive BASE sh -s -- IMAGE=PACKAGE,… … <packages.sh | tar --extract
#
# Writes a tar archive with
#   busybox/           the root that the busybox image under the upstream images has
#   libc/              what a C program needs and no more
#   IMAGE/packages/    the packages of each IMAGE, unpacked but not set up
# Debian's own tools stay behind, so that a health check that works in an
# offline image works in the upstream one.
set -eu
umask 022
export DEBIAN_FRONTEND=noninteractive
library=lib/x86_64-linux-gnu

unpack() { # PACKAGE DIRECTORY
    mkdir -p "$2"
    apt-get download --quiet --quiet "$1"
    dpkg-deb --extract ./*.deb "$2"
    rm ./*.deb
}

apt-get update --quiet --quiet
mkdir /tmp/debs /tmp/out
cd /tmp/debs
chmod 777 . # apt downloads as a user of its own

for package in busybox-static ca-certificates libc6 netbase tzdata; do
    unpack $package /tmp/unpacked
done
cd /tmp/out
mkdir -p libc/$library libc/lib64
for file in libc.so.6 libresolv.so.2 libpthread.so.0 libdl.so.2; do
    cp -L /tmp/unpacked/$library/$file libc/$library/
done
cp -L /tmp/unpacked/$library/ld-linux-x86-64.so.2 libc/lib64/

cp -R libc busybox
mkdir -p busybox/bin busybox/etc/ssl/certs busybox/usr/share busybox/home busybox/root busybox/var
install -d -m 1777 busybox/tmp
cp /tmp/unpacked/bin/busybox busybox/bin/
for applet in $(busybox/bin/busybox --list); do
    [ "$applet" = busybox ] || ln -s busybox "busybox/bin/$applet"
done
cp /tmp/unpacked/etc/services /tmp/unpacked/etc/protocols busybox/etc/
cp -R /tmp/unpacked/usr/share/zoneinfo busybox/usr/share/
cat /tmp/unpacked/usr/share/ca-certificates/mozilla/*.crt >busybox/etc/ssl/certs/ca-certificates.crt
echo 'hosts: files dns' >busybox/etc/nsswitch.conf
printf '%s\n' root:x:0:0:root:/root:/bin/sh nobody:x:65534:65534:nobody:/home:/bin/false >busybox/etc/passwd
printf '%s\n' root:x:0: nobody:x:65534: >busybox/etc/group

for image; do
    cd /tmp/debs
    for package in $(echo "${image#*=}" | tr , ' '); do
        unpack "$package" "/tmp/out/${image%%=*}/packages"
    done
done
tar --create --numeric-owner --owner 0 --group 0 --directory /tmp/out .
