# Imports an image layout into an empty containerd of the Debian tree, in mounts and processes of its own.
#   ROOT     the Debian tree
#   LAYOUT   directory of an OCI image layout
#   STATE    where containerd's state is made
set -eu
mkdir -p "$STATE"
mount --make-rprivate /
mount --bind "$ROOT" "$ROOT"
mount --bind /proc "$ROOT/proc"
mount --rbind /dev "$ROOT/dev"
mount -t tmpfs tmpfs "$ROOT/run"
mkdir -p "$ROOT/var/lib/containerd" "$ROOT/run/layout"
mount --bind "$STATE" "$ROOT/var/lib/containerd"
mount --bind "$LAYOUT" "$ROOT/run/layout"
chroot "$ROOT" containerd >"$STATE.log" 2>&1 &
containerd=$!
until chroot "$ROOT" ctr version >/dev/null 2>&1; do
  kill -0 "$containerd" 2>/dev/null || {
    tail -n 5 "$STATE.log"
    exit 1
  }
  sleep 0.1
done
tar --create --directory "$LAYOUT" . | chroot "$ROOT" ctr --namespace k8s.io images import -
kill "$containerd"
ended=0
wait "$containerd" || ended=$?
# By itself, or by our signal; anything else may have left its databases half written.
case $ended in
  0 | 143) ;;
  *)
    tail -n 5 "$STATE.log"
    exit 1
    ;;
esac
