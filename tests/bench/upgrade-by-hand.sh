#!/usr/bin/env bash
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# upgrade-by-hand.sh BUNDLE LAB_DIR CONTROL_PLANE WORKER...
# What an experienced operator would type to upgrade the same cluster as kubeadm's guide has it: everything copied beforehand, then
# one node after the other. It checks nothing, backs nothing up, and can't be run twice. Prints "phase NAME SECONDS" for each step.
set -euo pipefail
bundle=$1 lab=$2 control_plane=$3
shift 3
workers=("$@")
here=$(cd "$(dirname "$0")" && pwd)
stage=$(mktemp -d "$lab/by-hand.XXXXXX")
trap 'rm -rf "$stage"' EXIT
version=v$(basename "$bundle" | cut -d- -f1)
ignore=--ignore-preflight-errors=all

ssh_options=(-i "$lab/id_ed25519" -o "UserKnownHostsFile=$lab/known_hosts" -o StrictHostKeyChecking=yes -o BatchMode=yes
  -o ControlMaster=auto -o "ControlPath=$lab/by-hand-%h" -o ControlPersist=120)
on() { local node=$1; shift; ssh "${ssh_options[@]}" "root@$node" "$@"; }
control() { on "$control_plane" kubectl --kubeconfig /etc/kubernetes/admin.conf "$@"; }

# A new kubelet ends the only API server for some seconds; an operator would type the command again.
again() { local left=60; until "$@" >/dev/null 2>&1; do [ $((left -= 1)) -gt 0 ] || { "$@"; return; }; sleep 1; done; }

began=$EPOCHREALTIME
phase() { awk -v name="$1" -v from="$began" -v to="$EPOCHREALTIME" 'BEGIN { printf "phase %s %.1f\n", name, to - from }'; began=$EPOCHREALTIME; }

copy() {
  tar -C "$stage/programs" --dereference --mode=0755 --owner=0 --group=0 -c . | on "$1" 'mkdir -p /root/new; tar -x -C /root/new'
  local role=worker
  [ "$1" != "$control_plane" ] || role=control_plane
  tar -C "$stage/$role" --dereference -c . | on "$1" ctr --namespace k8s.io images import - >/dev/null
}

upgrade() {
  local node=$1 name=$2; shift 2
  on "$node" "/root/new/usr/local/bin/kubeadm upgrade $* $ignore --patches /etc/kubernetes/patches >/dev/null"
  again control drain "$name" --ignore-daemonsets --delete-emptydir-data
  on "$node" 'cp -r --remove-destination /root/new/. /; systemctl restart containerd kubelet'
  again control wait --for="jsonpath={.status.nodeInfo.kubeletVersion}=$version" "node/$name" --timeout=180s
  again control wait --for=condition=Ready "node/$name" --timeout=180s
  again control uncordon "$name"
  phase "$name"
}

python3 "$here/by-hand/stage.py" "$bundle" "$stage"
jobs=()
for node in "$control_plane" "${workers[@]}"; do copy "$node" & jobs+=($!); done
for job in "${jobs[@]}"; do wait "$job"; done
phase copy

upgrade "$control_plane" cp1 apply "$version" --yes
number=0
for node in "${workers[@]}"; do
  number=$((number + 1))
  upgrade "$node" "worker$number" node
done
control -n kube-system rollout status daemonset/kube-proxy --timeout=180s >/dev/null
control -n kube-system rollout status deployment/coredns --timeout=180s >/dev/null
phase workloads
