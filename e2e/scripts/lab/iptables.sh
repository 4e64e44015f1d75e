#!/bin/sh
# Every program of iptables in an image: in the backend in which the kubelet of the node keeps its rules, as kubernetes-sigs/iptables-wrappers
# does it in the images of kube-proxy, Kube-OVN and Cilium.
hint='^:(KUBE-IPTABLES-HINT|KUBE-KUBELET-CANARY) '
backend=nft
# The legacy ones, asked for no table, make none in the kernel.
if ! { iptables-nft-save -t mangle; ip6tables-nft-save -t mangle; } 2>/dev/null </dev/null | grep -Eq "$hint" &&
  { iptables-legacy-save; ip6tables-legacy-save; } 2>/dev/null </dev/null | grep -Eq "$hint"; then
  backend=legacy
fi
name=${0##*/}
family=${name%%-*}
exec "$family-$backend${name#"$family"}" "$@"
