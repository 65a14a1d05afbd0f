#!/usr/bin/env bash
# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# by-hand.sh BUNDLE LAB_DIR CONTROL_PLANE WORKER...
# What an experienced operator would type to make the same cluster out of the same bundle: everything copied over SSH to all
# nodes at once, images imported, kubeadm init and join, kubectl apply. It checks nothing, can't be run twice and is the time to beat.
# Prints one line "phase NAME SECONDS" for each step.
set -euo pipefail
bundle=$1 lab=$2 control_plane=$3
shift 3
workers=("$@")
here=$(cd "$(dirname "$0")" && pwd)
stage=$(mktemp -d "$lab/by-hand.XXXXXX")
trap 'rm -rf "$stage"' EXIT

ssh_options=(-i "$lab/id_ed25519" -o "UserKnownHostsFile=$lab/known_hosts" -o StrictHostKeyChecking=yes -o BatchMode=yes
  -o ControlMaster=auto -o "ControlPath=$lab/by-hand-%h" -o ControlPersist=120)
on() { local node=$1; shift; ssh "${ssh_options[@]}" "root@$node" "$@"; }

began=$EPOCHREALTIME
phase() { awk -v name="$1" -v from="$began" -v to="$EPOCHREALTIME" 'BEGIN { printf "phase %s %.1f\n", name, to - from }'; began=$EPOCHREALTIME; }

# Runs a function for each node in parallel; fails when one fails.
everywhere() {
  local function=$1 job jobs=(); shift
  for node in "$@"; do "$function" "$node" & jobs+=($!); done
  for job in "${jobs[@]}"; do wait "$job"; done
}

prepare() {
  tar -C "$stage/programs" --dereference --mode=0755 --owner=0 --group=0 -c . | on "$1" tar -x -C /
  tar -C "$stage/root" --owner=0 --group=0 -c . | on "$1" tar -x -C /
  on "$1" 'modprobe -a overlay br_netfilter; sysctl -qw net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1
    systemctl daemon-reload; systemctl enable --now --quiet containerd kubelet'
  local role=worker
  [ "$1" != "$control_plane" ] || role=control_plane
  tar -C "$stage/$role" --dereference -c . | on "$1" ctr --namespace k8s.io images import - >/dev/null
}

join() { on "$1" "$join_command --ignore-preflight-errors=all >/dev/null"; }

python3 "$here/by-hand/stage.py" "$bundle" "$stage"
install -m 0755 "$stage/programs/usr/local/bin/kubectl" "$stage/kubectl"
kubectl=("$stage/kubectl" --kubeconfig "$stage/admin.conf")
everywhere prepare "$control_plane" "${workers[@]}"
phase copy

sed "s/@ADDRESS@/$control_plane/; s/@VERSION@/$(basename "$bundle" | cut -d- -f1)/" "$here/by-hand/kubeadm.yaml" |
  on "$control_plane" 'cat >/root/kubeadm.yaml; kubeadm init --config /root/kubeadm.yaml >/dev/null'
on "$control_plane" cat /etc/kubernetes/admin.conf >"$stage/admin.conf"
phase init

"${kubectl[@]}" apply -f "$stage/flannel.yaml" >/dev/null
join_command=$(on "$control_plane" kubeadm token create --print-join-command)
everywhere join "${workers[@]}"
phase join

"${kubectl[@]}" wait --for=condition=Ready nodes --all --timeout=180s >/dev/null
phase nodes
"${kubectl[@]}" -n kube-flannel rollout status daemonset/kube-flannel-ds --timeout=180s >/dev/null
"${kubectl[@]}" -n kube-system rollout status daemonset/kube-proxy --timeout=180s >/dev/null
"${kubectl[@]}" -n kube-system rollout status deployment/coredns --timeout=180s >/dev/null
phase workloads

# One lookup (and a connection) from a pod; create's probe makes more of them, from every node.
"${kubectl[@]}" run lookup --image="$(cat "$stage/lookup-image")" --image-pull-policy=Never --restart=Never -- \
  connect --timeout=30s kubernetes.default.svc.cluster.local:443 >/dev/null
"${kubectl[@]}" wait --for=jsonpath='{.status.phase}'=Succeeded pod/lookup --timeout=60s >/dev/null
phase dns
