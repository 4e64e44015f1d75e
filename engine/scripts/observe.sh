# Tells which connections Cilium would drop on this node if it enforced policy: those that the agent's Hubble remembers of the time
# since SINCE (`90000ms`) ago, and those of the next WATCH seconds. Counted by direction, source, its identity, and destination; reserved identities come first, since
# nodes are among them. Runs in Cilium's own image.
set -eu
out=${OUT:-/dev/termination-log}
code=0
# What it says beside the flows (that its version is not the agent's) is no flow; it counts when it failed.
flows=$(timeout "${WATCH:-30}" hubble observe --server unix:///var/run/cilium/hubble.sock --since "${SINCE:?}" --follow \
  --type policy-verdict --verdict AUDIT --ip-translation=false --color never -o compact 2>"$out") || code=$?
# It follows until its time is over; ended by itself, it has not seen all of it.
if [ "$code" -ne 124 ]; then
  said=$(tail -c 900 "$out")
  printf 'hubble ended with %s: %s\n' "$code" "$said" >"$out"
  exit 1
fi
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
