# Takes one CNI file out of the runtime's sight: a rename in the same directory to a suffix that no runtime loads, and only
# if the file is the one that was seen and another configuration remains.
set -eu
out=${OUT:-/dev/termination-log}
file=$CONF_DIR/$FILE
# No echo: some shells would take a backslash in a name for more than that.
say() {
  printf '%s\n' "$1" >"$out"
}
if [ ! -e "$file" ]; then
  say "absent $FILE"
  exit 0
fi
if ! sum=$(sha256sum <"$file"); then
  say "$FILE cannot be read"
  exit 1
fi
found=${sum%% *}
if [ "$found" != "$SHA256" ]; then
  say "refused $FILE has sha256 $found, not $SHA256"
  exit 0
fi
others=0
for other in "$CONF_DIR"/*.conf "$CONF_DIR"/*.conflist "$CONF_DIR"/*.json; do
  if [ -f "$other" ] && [ "$other" != "$file" ]; then
    others=$((others + 1))
  fi
done
if [ "$others" -eq 0 ]; then
  say "refused $FILE is the only configuration of this node"
  exit 0
fi
mv "$file" "$file.ovncilium-retired"
say "retired $FILE"
