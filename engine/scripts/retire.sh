# Takes one CNI file out of the runtime's sight: a rename in the same directory to a suffix that no runtime loads, and only
# if the file is the one that was seen and another configuration remains.
set -eu
out=${OUT:-/dev/termination-log}
file=$CONF_DIR/$FILE
if [ ! -e "$file" ]; then
  echo "absent $FILE" >"$out"
  exit 0
fi
found=$(sha256sum <"$file" | cut -d ' ' -f 1)
if [ "$found" != "$SHA256" ]; then
  echo "refused $FILE has sha256 $found, not $SHA256" >"$out"
  exit 0
fi
others=0
for other in "$CONF_DIR"/*.conf "$CONF_DIR"/*.conflist "$CONF_DIR"/*.json; do
  if [ -f "$other" ] && [ "$other" != "$file" ]; then
    others=$((others + 1))
  fi
done
if [ "$others" -eq 0 ]; then
  echo "refused $FILE is the only configuration of this node" >"$out"
  exit 0
fi
mv "$file" "$file.ovncilium-retired"
echo "retired $FILE" >"$out"
