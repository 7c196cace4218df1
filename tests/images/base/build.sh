#!/bin/sh
# Makes a root file system under offline images: this release of Debian, minimal.
#
#   build.sh RELEASE IMAGE SCRATCH_DIR
#
# Needs debootstrap, fakeroot and a Docker engine, but neither root nor
# --privileged: the first stage (download, unpack) runs under fakeroot, the
# second (configure) in a container made from it.
#
# IMAGE appears by the last command or not at all. A container or image that a
# killed run leaves behind carries the label $HELPER_LABEL, if that is set; IMAGE
# itself carries $SOURCE_LABEL.
set -eu
umask 022

release=$1
image=$2
scratch=$(mktemp -d "$3/base.XXXXXX")
seed= container=

cleanup() {
    trap '' HUP INT TERM
    [ -z "$container" ] || docker rm --force --volumes "$container" >/dev/null || :
    [ -z "$seed" ] || docker rmi "$seed" >/dev/null || :
    rm -rf "$scratch"
}
trap cleanup EXIT
trap 'exit 130' HUP INT TERM

cat >"$scratch/first-stage" <<'EOF'
set -eu
debootstrap --foreign --force-check-gpg --variant=minbase "$2" "$1"

# dpkg reads this from the second stage on. Licences stay.
cat >"$1/etc/dpkg/dpkg.cfg.d/offline-image" <<'CONF'
force-unsafe-io
path-exclude=/usr/share/doc/*
path-include=/usr/share/doc/*/copyright
path-exclude=/usr/share/info/*
path-exclude=/usr/share/locale/*
path-exclude=/usr/share/man/*
CONF

cat >"$1/etc/apt/apt.conf.d/offline-image" <<'CONF'
APT::Install-Recommends "false";
Acquire::Languages "none";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb"; };
CONF

# debootstrap copies these from the host.
rm -f "$1/etc/hostname" "$1/etc/resolv.conf"

tar -C "$1" --numeric-owner -cf "$1.tar" .
EOF

cat >"$scratch/second-stage" <<'EOF'
set -eu
/debootstrap/debootstrap --second-stage
rm -rf /debootstrap

# debootstrap writes one line, without the updates that Debian publishes beside.
read -r _ mirror release _ </etc/apt/sources.list
cat >/etc/apt/sources.list <<LIST
deb $mirror $release main
deb $mirror $release-updates main
deb $mirror-security $release-security main
LIST

# No package may start its service while an image is built.
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d

# What the first stage unpacked before path-exclude applied.
find /usr/share/doc -type f ! -name copyright -delete
find /usr/share/doc -type l -delete
find /usr/share/doc -type d -empty -delete
rm -rf /usr/share/info/* /usr/share/locale/* /usr/share/man/*

apt-get clean
rm -rf /var/lib/apt/lists/* /var/cache/debconf/*-old /var/lib/dpkg/*-old
rm -f /var/log/*.log /var/log/apt/* /etc/machine-id /.dockerenv
EOF

fakeroot sh "$scratch/first-stage" "$scratch/root" "$release"
seed=$(docker import ${HELPER_LABEL:+--change "LABEL $HELPER_LABEL"} "$scratch/root.tar")

# container=lxc: debootstrap then takes /dev as it finds it, since the file
# system under a container may not bear device nodes.
container=$(docker create --interactive --network none --env container=lxc \
    ${HELPER_LABEL:+--label "$HELPER_LABEL"} "$seed" /bin/sh)
docker start --attach --interactive "$container" <"$scratch/second-stage"

# Export and import again: one layer, without what the second stage removed.
docker export --output "$scratch/image.tar" "$container"
docker import ${SOURCE_LABEL:+--change "LABEL $SOURCE_LABEL"} \
    --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
    --change 'CMD ["sh"]' \
    --change 'LABEL case-interview.offline="true"' \
    --change 'LABEL org.opencontainers.image.title="Offline base"' \
    --change 'LABEL org.opencontainers.image.description="Debian '"$release"' (minbase) under the offline images"' \
    "$scratch/image.tar" "$image"
