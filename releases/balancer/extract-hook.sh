#!/bin/sh
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Run by mmdebstrap when the packages of balancer are unpacked ($1 is the root file system). haproxy and keepalived pull
# in Perl, SNMP and login tools for what their packages can do elsewhere; here only the programs stay, a busybox, and
# the libraries that they load.
set -eu
root=${1:?}
cd "$root"
[ "$(pwd -P)" != / ]

# The tags of the images name these branches.
for want in haproxy:3.0. keepalived:1:2.3.; do
  deb=$(echo var/cache/apt/archives/"${want%%:*}"_*.deb)
  version=$(dpkg-deb -f "$deb" Version)
  case $version in
    "${want#*:}"*) ;;
    *) echo "Debian has ${want%%:*} $version, but the image's tag promises ${want#*:}*" >&2; exit 1 ;;
  esac
done

loader=$(echo usr/lib*/ld-linux-*.so.*)
list=tmp/list
kept=tmp/kept
mkdir -p "$kept/var/lib/dpkg/status.d"
printf '%s\n' usr/sbin/haproxy usr/sbin/keepalived usr/bin/busybox "$loader" > "$list"
# Debian's keepalived refuses to start without the file that tells how it was built.
printf '%s\n' etc/keepalived/keepalived.config-opts >> "$list"
for program in /usr/sbin/haproxy /usr/sbin/keepalived; do
  chroot "$root" "/$loader" --list "$program" | sed -n 's|.* => /\(.*\) (0x.*|\1|p' | sed 's|^lib|usr/lib|' >> "$list"
done
sort -u -o "$list" "$list"
while read -r path; do
  mkdir -p "$kept/$(dirname "$path")"
  cp -L --preserve=mode,timestamps "$path" "$kept/$path"
done < "$list"
# One control file per package that something is left of, as distroless images have it, for scanners.
for deb in var/cache/apt/archives/*.deb; do
  if dpkg-deb --fsys-tarfile "$deb" | tar -t | sed 's|^\./||; s|^lib|usr/lib|' | grep -qFxf "$list"; then
    dpkg-deb -f "$deb" > "$kept/var/lib/dpkg/status.d/$(dpkg-deb -f "$deb" Package)"
  fi
done

# By name and within this file system: mmdebstrap has the build host's own /dev/shm, and /proc and /sys, mounted in here.
# etc/apt and apt's part of var are its own to remove.
rm -rf --one-file-system ./usr ./boot ./home ./media ./mnt ./opt ./srv ./var/log ./var/backups ./var/spool ./var/mail
find ./etc -mindepth 1 -maxdepth 1 ! -name apt -exec rm -rf --one-file-system {} +
cp -a "$kept/." .
rm -rf --one-file-system "./$kept" "./$list"
mkdir -p etc/ssl root
: > etc/hostname
: > etc/resolv.conf
usr/bin/busybox --list | while read -r name; do
  [ -e "usr/bin/$name" ] || [ -e "usr/sbin/$name" ] || ln -s busybox "usr/bin/$name"
done
printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n' > etc/passwd
printf 'root:x:0:\nnogroup:x:65534:\n' > etc/group
printf 'hosts: files dns\n' > etc/nsswitch.conf
