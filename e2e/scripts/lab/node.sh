# Process 1 of a node: its own network, mounts, processes, host name and IPC; the Debian tree is its root, what it writes lands in DIR.
# Ends when it is killed, and with it everything that ran on the node. Started again with the same DIR it is the same node after a reboot.
#   NODE      its name
#   ADDRESS   its address
#   ROOT      the Debian tree
#   DIR       what this node keeps: disk/ and upper/ survive a reboot
#   SHARED    directories that it sees at the same path as the machine, separated by blanks
set -e
top=$DIR/top
mkdir -p "$top" "$DIR/upper" "$DIR/work" "$DIR/disk/containerd" "$DIR/disk/kubelet" "$DIR/sysctl"
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=$ROOT,upperdir=$DIR/upper,workdir=$DIR/work" "$top"
mount -t proc proc "$top/proc"
mount -t sysfs sysfs "$top/sys"
mount --rbind /sys/fs/cgroup "$top/sys/fs/cgroup"
mount --rbind /dev "$top/dev"
mount -t bpf bpf "$top/sys/fs/bpf"
mount -t tmpfs tmpfs "$top/run"
mount -t tmpfs tmpfs "$top/tmp"
mkdir -p "$top"/run/{openvswitch,ovn,netns,lock,containerd,dbus,cilium/cgroupv2} "$top"/etc/{cni/net.d,openvswitch,ovn} \
  "$top"/opt/cni/bin "$top"/var/lib/{cni,containerd,kubelet} "$top"/var/log/{pods,containers,kube-ovn,openvswitch,ovn} "$top/old"
mount --bind "$DIR/disk/containerd" "$top/var/lib/containerd"
mount --bind "$DIR/disk/kubelet" "$top/var/lib/kubelet"
for shared in $SHARED; do
  mkdir -p "$top$shared"
  mount --bind "$shared" "$top$shared"
done
printf '127.0.0.1 localhost\n%s %s\n' "$ADDRESS" "$NODE" >"$top/etc/hosts"
# Sysctls of the whole machine: agents and kubelets must not change them. A kubelet ends when it cannot write these three.
mount --bind "$top/proc/sys/kernel" "$top/proc/sys/kernel"
mount -o remount,ro,bind "$top/proc/sys/kernel"
for file in vm/overcommit_memory kernel/panic kernel/panic_on_oops; do
  cat "/proc/sys/$file" >"$DIR/sysctl/${file#*/}"
  mount --bind "$DIR/sysctl/${file#*/}" "$top/proc/sys/$file"
done
# The root of this mount is the node's own cgroup, so that programs attached there see only its processes.
unshare -C mount -t cgroup2 none "$top/run/cilium/cgroupv2"
[ ! -e /proc/sys/net/bridge ] || echo 0 >"$top/proc/sys/net/bridge/bridge-nf-call-iptables"
cd "$top"
pivot_root . old
cd /
umount -l /old
mount --make-rshared /
hostname "$NODE"
touch "$DIR/up"
set +e
while :; do
  wait -n 2>/dev/null
  sleep 1 &
  wait $!
done
