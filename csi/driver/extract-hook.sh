#!/bin/sh
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Run by mmdebstrap when the packages of the driver's image are unpacked ($1 is the root file system): no maintainer
# script runs in this variant. What the driver never reads is left out, the driver itself is put in.
set -eu
root=${1:?}
source=$(cd "$(dirname "$0")" && pwd)

# One control file per package, as distroless images have it: scanners find the packages without a dpkg database.
mkdir -p "$root/var/lib/dpkg/status.d"
for deb in "$root"/var/cache/apt/archives/*.deb; do
  dpkg-deb -f "$deb" > "$root/var/lib/dpkg/status.d/$(dpkg-deb -f "$deb" Package)"
done

cd "$root"
[ "$(pwd -P)" != / ]
# ICU, by far the largest, is only for xfs_scrub.
rm -rf usr/share/doc usr/share/man usr/share/info usr/share/locale usr/share/lintian usr/share/bash-completion \
  usr/share/bug usr/share/base-files usr/share/common-licenses usr/share/pixmaps usr/share/applications usr/share/menu \
  usr/lib/*/gconv usr/lib/*/ossl-modules usr/lib/*/engines-3 usr/lib/*/audit usr/lib/locale usr/bin/localedef \
  usr/bin/iconv usr/sbin/iconvconfig usr/lib/*/libicu*.so.* usr/sbin/xfs_scrub* usr/libexec/xfsprogs usr/lib/systemd \
  usr/lib/udev usr/lib/python3*/test usr/lib/python3*/idlelib usr/lib/python3*/tkinter usr/lib/python3*/ensurepip \
  usr/lib/python3*/pydoc_data usr/bin/openssl usr/bin/c_rehash usr/bin/pydoc3* usr/bin/perl* \
  var/log/* etc/kernel etc/init.d etc/cron.* etc/systemd etc/update-motd.d
mkdir -p tmp root etc
chmod 1777 tmp
# The build host's own, copied in by mmdebstrap.
: > etc/hostname
: > etc/resolv.conf
# sh and the like, for whoever looks into the container; whatever a package brings itself stays.
usr/bin/busybox --list | while read -r name; do
  [ -e "usr/bin/$name" ] || [ -L "usr/bin/$name" ] || [ -e "usr/sbin/$name" ] || [ -L "usr/sbin/$name" ] || ln -s busybox "usr/bin/$name"
done
printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n' > etc/passwd
printf 'root:x:0:\nnogroup:x:65534:\n' > etc/group
printf 'hosts: files dns\n' > etc/nsswitch.conf

driver=usr/lib/python3/dist-packages/hostplane_local
mkdir -p "$driver"
cp "$source"/hostplane_local/*.py "$driver/"
chmod 755 "$driver"
chmod 644 "$driver"/*.py
# What the driver calls is there and finds its libraries: a missing one would be seen only on the first node.
chroot "$root" /usr/bin/python3 -B -m hostplane_local --help > /dev/null
for program in e2fsck mkfs.ext4 mkfs.xfs mount resize2fs umount xfs_growfs; do
  path=$(chroot "$root" /usr/bin/busybox which "$program")
  case $(chroot "$root" /usr/bin/busybox readlink -f "$path") in
    */busybox) echo "$program is busybox's, not the package's" >&2; exit 1 ;;
  esac
  chroot "$root" "/$(echo usr/lib*/ld-linux-*.so.*)" --list "$path" > /dev/null
done
