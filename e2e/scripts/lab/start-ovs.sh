#!/bin/bash
# In the place of Kube-OVN's start of Open vSwitch: the node itself runs it and OVN's controller, since the node's own address is on
# a bridge of the userspace datapath, which a pod could not bring up before the kubelet can reach the API server.
set -eu
until ovs-vsctl --timeout=5 get open . external-ids:ovn-remote; do
  sleep 1
done
exec sleep infinity
