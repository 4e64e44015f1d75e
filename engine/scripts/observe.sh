# Tells which connections Cilium would drop on this node if it enforced policy: those that the agent's Hubble remembers, and those
# of the next WATCH seconds. Counted by direction, source, its identity, and destination; reserved identities come first, since
# nodes are among them. Runs in Cilium's own image.
set -eu
out=${OUT:-/dev/termination-log}
from=${FROM:---server unix:///var/run/cilium/hubble.sock --last 4095 --follow}
code=0
# FROM is a list of words.
flows=$(timeout "${WATCH:-30}" hubble observe $from --type policy-verdict --verdict AUDIT \
  --ip-translation=false --color never -o compact 2>&1) || code=$?
if [ "$code" -ne 0 ] && [ "$code" -ne 124 ]; then
  printf '%s\n' "$flows" | tail -c 1000 >"$out"
  exit 1
fi
when='[A-Z][a-z]{2} +[0-9]+ [0-9:.]+: '
one='([^ ]+) \(([^)]*)\)'
verdict='policy-verdict:[^ ]+ ([A-Z_]+) AUDITED .*'
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
