# Tells which connections Cilium would drop on this node if it enforced policy: those of the last SINCE seconds that the agent's
# Hubble remembers, those from the addresses in NODE (this node's own) that it remembers from before, and those of the next WATCH seconds.
# Counted by direction, source, its identity, and destination; reserved identities come first, since nodes are among them. Runs in
# Cilium's own image.
set -eu
out=${OUT:-/dev/termination-log}
begin=$(date -u -d "@$(($(date +%s) - ${SINCE:?}))" +%Y-%m-%dT%H:%M:%SZ)
failed() {
  said=$(tail -c 900 "$out")
  printf 'hubble ended with %s: %s\n' "$1" "$said" >"$out"
  exit 1
}
from=
for address in ${NODE:-}; do from="$from --from-ip $address"; done
set -- hubble observe --server unix:///var/run/cilium/hubble.sock --type policy-verdict --verdict AUDIT --ip-translation=false \
  --color never -o compact
# What it says beside the flows (that its version is not the agent's) is no flow; it counts when it failed.
earlier=
# shellcheck disable=SC2086
[ -z "$from" ] || earlier=$("$@" --last 4095 --until "$begin" $from 2>"$out") || failed "$?"
code=0
flows=$(timeout "${WATCH:-30}" "$@" --since "$begin" --follow 2>"$out") || code=$?
# It follows until its time is over; ended by itself, it has not seen all of it.
[ "$code" -eq 124 ] || failed "$code"
flows=$(printf '%s\n%s\n' "$earlier" "$flows")
when='[A-Z][a-z]{2} +[0-9]+ [0-9:.]+: '
one='([^ ]+) \(([^)]*)\)'
verdict='policy-verdict:[^ ]+ ([A-Z_]+) AUDITED .*'
# A line that is no flow may be one that another version writes differently: then nothing is known.
strange=$(printf '%s\n' "$flows" | sed -E -e "/^$when$one (->|<>|<-) $one $verdict\$/d" -e '/^EVENTS LOST/d' -e '/^$/d' | head -n 1)
if [ -n "$strange" ]; then
  printf 'hubble wrote what is not understood: %s\n' "$strange" | head -c 1000 >"$out"
  exit 1
fi
counted=$(printf '%s\n' "$flows" |
  sed -nE -e "s/^$when$one (->|<>) $one $verdict\$/\6 \1 \2 \4/p" -e "s/^$when$one <- $one $verdict\$/\5 \3 \4 \1/p" |
  sed -E -e 's/^([A-Z_]+) \[([^]]+)\]:[0-9]+ /\1 \2 /' -e 's/^([A-Z_]+) ([0-9.]+):[0-9]+ /\1 \2 /' |
  sort | uniq -c | sort -rn | sed -E 's/^ +/drop /')
kinds=0
[ -z "$counted" ] || kinds=$(printf '%s\n' "$counted" | sed -n '$=')
{
  echo "audited $kinds"
  printf '%s\n' "$counted" | sed -n -e '/ ID:[0-9]* /!p'
  printf '%s\n' "$counted" | sed -n -e '/ ID:[0-9]* /p'
} | sed -e '/^$/d' | head -n 40 >"$out"
