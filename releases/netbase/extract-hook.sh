#!/bin/sh
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Run by mmdebstrap when the packages of netbase are unpacked ($1 is the root file system). No maintainer script runs
# in this variant, so what an image really needs of them is done here, and what it never reads is left out.
set -eu
root=$1

# One control file per package, as distroless images have it: scanners find the packages without a dpkg database.
mkdir -p "$root/var/lib/dpkg/status.d"
for deb in "$root"/var/cache/apt/archives/*.deb; do
  dpkg-deb -f "$deb" > "$root/var/lib/dpkg/status.d/$(dpkg-deb -f "$deb" Package)"
done

cd "$root"
# Only ca-certificates' own postinst needs openssl, Perl and debconf.
rm -rf usr/share/doc usr/share/man usr/share/info usr/share/locale usr/share/lintian usr/share/bash-completion \
  usr/share/bug usr/share/debconf usr/share/perl5 usr/share/base-files usr/share/common-licenses usr/share/nftables \
  usr/share/gcc usr/share/pixmaps usr/share/menu usr/share/zsh usr/share/initramfs-tools \
  usr/lib/*/gconv usr/lib/*/ossl-modules usr/lib/*/engines-3 usr/lib/*/audit \
  usr/bin/openssl usr/bin/c_rehash usr/bin/debconf* usr/sbin/dpkg-* usr/sbin/update-ca-certificates \
  usr/sbin/iptables-apply usr/sbin/ip6tables-apply usr/lib/*/libssl.so.* \
  usr/sbin/iconvconfig usr/bin/localedef usr/bin/iconv usr/lib/locale \
  var/log/* etc/kernel etc/default etc/init.d
mkdir -p tmp etc/ssl/certs
chmod 1777 tmp

cat usr/share/ca-certificates/mozilla/*.crt > etc/ssl/certs/ca-certificates.crt
rm -rf usr/share/ca-certificates
# The build host's own, copied in by mmdebstrap.
: > etc/hostname
: > etc/resolv.conf
for family in iptables ip6tables; do
  for name in $family $family-save $family-restore; do
    ln -sf xtables-nft-multi "usr/sbin/$name"
  done
done
# sh, cp and the like; whatever a package brings itself stays.
usr/bin/busybox --list | while read -r name; do
  if [ ! -e "usr/bin/$name" ] && [ ! -L "usr/bin/$name" ] && [ ! -e "usr/sbin/$name" ] && [ ! -L "usr/sbin/$name" ]; then
    ln -s busybox "usr/bin/$name"
  fi
done
printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n' > etc/passwd
printf 'root:x:0:\nnogroup:x:65534:\n' > etc/group
printf 'hosts: files dns\n' > etc/nsswitch.conf
