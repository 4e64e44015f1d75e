# Removes Cilium's firewall rules, routing rules and sets from a node: its own cleanup leaves them. Runs in Kube-OVN's own image, on the
# host's network, and touches nothing that does not bear Cilium's names, or that its rules do not lead to.
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
unread=
looked=
for family in iptables ip6tables; do
  for backend in legacy nft; do
    # A kernel without the backend has no rules in it; one of the two there must be.
    rules=$("$family-$backend-save" 2>/dev/null) || continue
    [ "$family" != iptables ] || looked=yes
    orders=$(printf '%s\n' "$rules" | awk "$wanted")
    if [ -n "$orders" ]; then
      said=$(printf '%s\n' "$orders" | "$family-$backend-restore" -w 15 --noflush 2>&1) || fail "$family-$backend-restore: $said"
      rules=$("$family-$backend-save") || fail "$family-$backend-save cannot tell what is left"
      ! printf '%s\n' "$rules" | grep -q 'CILIUM_' || fail "chains of Cilium came back: is an agent left on this node?"
    fi
    # A table written by a newer iptables cannot be read by this one.
    unread="$unread$(printf '%s\n' "$rules" | sed -n -E "s/^# Table \`([^']+)' is incompatible.*/unread $family-$backend \1;/p")"
  done
done
[ -n "$looked" ] || fail 'neither iptables-legacy-save nor iptables-nft-save works in this image'
ip -4 rule show >/dev/null 2>"$out" || fail "ip rule show: $(cat "$out")"
for family in -4 -6; do
  # A kernel without IPv6 has no such rules.
  rules=$(ip "$family" rule show 2>/dev/null) || continue
  # The kernel looks into its local table first; Cilium moved that rule from 0 to 100.
  if printf '%s\n' "$rules" | grep -Eq '^100:.*from all lookup local *$'; then
    printf '%s\n' "$rules" | grep -Eq '^0:.*from all lookup local *$' ||
      said=$(ip "$family" rule add from all lookup local pref 0 2>&1) || fail "ip rule add: $said"
    said=$(ip "$family" rule del from all lookup local pref 100 2>&1) || fail "ip rule del: $said"
  fi
  for way in '9 0x200/0xf00 2004' '10 0xa00/0xf00 2005'; do
    # shellcheck disable=SC2086
    set -- $way
    printf '%s\n' "$rules" | grep -Eq "^$1:.*fwmark $2 lookup $3 *$" || continue
    # The table is Cilium's where its rule leads to it; the rule goes last, so that a second run finds both.
    ip "$family" route flush table "$3" 2>/dev/null || :
    said=$(ip "$family" rule del fwmark "$2" lookup "$3" pref "$1" 2>&1) || fail "ip rule del: $said"
  done
done
for set in $(ipset list -n 2>/dev/null | grep '^cilium_node_set_v[46]$'); do
  said=$(ipset destroy "$set" 2>&1) || fail "ipset destroy: $said"
done
{
  echo "cleaned"
  printf '%s\n' "$unread" | tr ';' '\n' | sed -e '/^$/d'
} >"$out"
