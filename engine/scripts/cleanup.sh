# Removes Cilium's programs, maps and interfaces from a node, in Cilium's own image, and the files that retire.sh set aside.
# The host's CNI directory is not mounted where Cilium looks for it, so that its files stay as they are.
set -eu
out=${OUT:-/dev/termination-log}
tool=cilium-dbg
command -v "$tool" >/dev/null 2>&1 || tool=cilium
if ! said=$("$tool" post-uninstall-cleanup --all-state -f 2>&1); then
  echo "$said" | tail -c 1000 >"$out"
  exit 1
fi
# Directories that it made for its maps; with something of others in them they stay.
rmdir /sys/fs/bpf/tc/globals /sys/fs/bpf/tc 2>/dev/null || :
rm -f "$CONF_DIR/$FILE.ovncilium-retired"
[ -z "${FOUND:-}" ] || rm -f "$CONF_DIR/$FOUND.ovncilium-retired"
echo "cleaned" >"$out"
