# Proves from inside a pod that service, DNS and pod connections work; ready when they do, failed when one does not.
out=${OUT:-/dev/termination-log}
ready=${READY:-/tmp/ready}
failed=0
check() {
  what=$1
  shift
  if timeout 5 "$@" >/dev/null 2>&1; then
    echo "check $what ok" >>"$out"
  else
    echo "check $what failed" >>"$out"
    failed=1
  fi
}
check service bash -c "exec 3<>/dev/tcp/$KUBERNETES_SERVICE_HOST/$KUBERNETES_SERVICE_PORT"
check dns getent hosts kubernetes.default.svc
[ -z "${PEER:-}" ] || check pod bash -c "exec 3<>/dev/tcp/$PEER"
[ "$failed" -eq 0 ] || exit 1
touch "$ready"
exec sleep "${STAY:-170}"
