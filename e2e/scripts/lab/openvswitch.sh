# Starts Open vSwitch with its userspace datapath and OVN's controller on a node, and moves the node's address to the bridge that
# the userspace tunnel routes over.
#   NODE      its name
#   ADDRESS   its address, with GATEWAY behind eth0
#   CENTRAL   address of OVN's databases
set -eu
scripts=/usr/share/openvswitch/scripts
mkdir -p /etc/openvswitch
echo "$NODE" >/etc/openvswitch/system-id.conf
"$scripts/ovs-ctl" start --no-ovs-vswitchd --system-id="$NODE" --no-mlockall --no-monitor
ovs-vsctl --no-wait --may-exist add-br br-int -- \
  set bridge br-int datapath_type=netdev fail-mode=secure other-config:disable-in-band=true
"$scripts/ovs-ctl" start --no-ovsdb-server --system-id="$NODE" --no-mlockall --no-monitor
ovs-vsctl set open . external-ids:ovn-remote="tcp:[$CENTRAL]:6642" external-ids:ovn-encap-type=geneve \
  external-ids:ovn-encap-ip="$ADDRESS" external-ids:ovn-bridge-datapath-type=netdev external-ids:hostname="$NODE" \
  external-ids:ovn-match-northd-version=true
ovs-vsctl --may-exist add-br br-phy -- \
  set bridge br-phy datapath_type=netdev fail-mode=standalone other-config:hwaddr="$(cat /sys/class/net/eth0/address)" -- \
  --may-exist add-port br-phy eth0
# The kernel gets a copy of each frame of eth0, which a kernel datapath would take from it. What is addressed to another device it lets lie;
# else it would answer for ports that are served behind br-phy.
ip link set eth0 arp off address 02:00:00:00:00:01
ip addr flush dev eth0
ip addr replace "$ADDRESS/24" dev br-phy
ip link set br-phy up
ip route replace default via "$GATEWAY"
/usr/share/ovn/scripts/ovn-ctl start_controller
