# Removes Cilium's firewall rules, routing rules and sets from a node: its own cleanup leaves them. Runs in Kube-OVN's own image, on the
# host's network, and touches nothing that does not bear Cilium's names or numbers.
set -eu
out=${OUT:-/dev/termination-log}
fail() {
  printf '%s\n' "$1" | tail -c 1000 >"$out"
  exit 1
}
# Of each table: the jumps into Cilium's chains, then what is in the chains, then the chains, in one transaction.
wanted='
  /^\*/ { table = $0; jumps = flushes = chains = "" }
  /^-A / && $2 !~ /^(OLD_)?CILIUM_/ && / -j (OLD_)?CILIUM_[^ ]+$/ { sub(/^-A/, "-D"); jumps = jumps $0 "\n" }
  /^:(OLD_)?CILIUM_/ { name = substr($1, 2); flushes = flushes "-F " name "\n"; chains = chains "-X " name "\n" }
  /^COMMIT/ && flushes != "" { printf "%s\n%s%s%sCOMMIT\n", table, jumps, flushes, chains }'
for family in iptables ip6tables; do
  for backend in legacy nft; do
    command -v "$family-$backend-save" >/dev/null || continue
    # A kernel without the backend has no rules in it.
    rules=$("$family-$backend-save" 2>/dev/null) || continue
    orders=$(printf '%s\n' "$rules" | awk "$wanted")
    [ -n "$orders" ] || continue
    said=$(printf '%s\n' "$orders" | "$family-$backend-restore" --noflush 2>&1) || fail "$family-$backend-restore: $said"
  done
done
for family in -4 -6; do
  rules=$(ip "$family" rule show 2>/dev/null) || continue
  # The kernel looks into its local table first; Cilium moved that rule from 0 to 100.
  if printf '%s\n' "$rules" | grep -Eq '^100:.*from all lookup local'; then
    printf '%s\n' "$rules" | grep -Eq '^0:.*from all lookup local' ||
      said=$(ip "$family" rule add from all lookup local pref 0 2>&1) || fail "ip rule add: $said"
    said=$(ip "$family" rule del from all lookup local pref 100 2>&1) || fail "ip rule del: $said"
  fi
  for way in '9 0x200/0xf00 2004' '10 0xa00/0xf00 2005'; do
    # shellcheck disable=SC2086
    set -- $way
    if printf '%s\n' "$rules" | grep -Eq "^$1:.*fwmark $2 lookup $3"; then
      said=$(ip "$family" rule del fwmark "$2" lookup "$3" pref "$1" 2>&1) || fail "ip rule del: $said"
    fi
    # A table that is not there is empty.
    ip "$family" route flush table "$3" 2>/dev/null || :
  done
done
for set in $(ipset list -n 2>/dev/null | grep '^cilium_node_set_v[46]$'); do
  said=$(ipset destroy "$set" 2>&1) || fail "ipset destroy: $said"
done
echo "cleaned" >"$out"
