# Makes the Debian tree that nodes and images start from. Needs root and the network; everything in it comes from Debian packages.
#   ROOT    where it is made; not there yet
set -eu
debootstrap --variant=minbase --include=ca-certificates trixie "$ROOT"
cp -L /etc/resolv.conf "$ROOT/etc/resolv.conf"
# Packages that bring a service must not start it.
printf '#!/bin/sh\nexit 101\n' >"$ROOT/usr/sbin/policy-rc.d"
chmod 755 "$ROOT/usr/sbin/policy-rc.d"
printf 'path-exclude /usr/share/%s/*\n' doc man locale >"$ROOT/etc/dpkg/dpkg.cfg.d/small"
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
chroot "$ROOT" apt-get install -y --no-install-recommends \
  bpftool clang conntrack containerd containernetworking-plugins curl dumb-init ethtool ipset iptables iproute2 iputils-arping \
  iputils-ping jq kmod libcap2-bin ncat net-tools netbase openssl openvswitch-switch ovn-central ovn-host procps runc strace tcpdump \
  uuid-runtime
chroot "$ROOT" apt-get clean
rm -rf "$ROOT"/var/lib/apt/lists/*
