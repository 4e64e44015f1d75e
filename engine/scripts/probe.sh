# Reads a node's CNI directory and says what is in it. Writes nothing.
# Names first: an answer that is cut has lost content, not files.
set -eu
export LC_ALL=C
out=${OUT:-/dev/termination-log}
line_break='
'
fail() {
  printf '%s\n' "$1" >"$out"
  exit 1
}
# A runtime sees hidden files too.
files() {
  for file in "$CONF_DIR"/.[!.]* "$CONF_DIR"/*; do
    [ ! -f "$file" ] || "$1" "$file"
  done
}
# No echo: some shells would take a backslash in a name for more than that.
say_file() {
  case $1 in
    *"$line_break"*) fail "a file has a line break in its name, which no answer can tell: $(printf %s "${1##*/}" | tr '\n' '?')" ;;
  esac
  if sum=$(sha256sum <"$1"); then
    printf 'file %s %s\n' "${sum%% *}" "${1##*/}"
  elif [ -e "$1" ]; then
    fail "${1##*/} cannot be read"
  fi
}
say_content() {
  case $1 in
    *.conf | *.conflist | *.json)
      if [ "$(wc -c <"$1")" -le 2048 ]; then
        printf 'content %s %s\n' "${1##*/}" "$(base64 <"$1" | tr -d '\n')"
      fi
      ;;
  esac
}
[ -d "$CONF_DIR" ] || fail "$CONF_DIR is no directory"
# In a variable first, so that a failure ends the script and not only the answer.
answer=$(
  echo "kernel $(uname -r)"
  for device in /sys/class/net/*; do
    case ${device##*/} in
      ovn0 | genev_sys_* | vxlan_sys_* | stt_sys_* | cilium_*) echo "device ${device##*/}" ;;
    esac
  done
  files say_file
  files say_content
)
printf '%s\n' "$answer" | head -c 4000 >"$out"
