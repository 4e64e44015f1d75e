# Runs a task's script, killed at one of its system calls, and tells what is in the directory before and after.
# As in a pod, what the script started ends with it. Before a kill FILE is put back, by the name that the script gave it.
#   SCRIPT, CONF_DIR, FILE, SHA256   the script and its input
#   WHO                              `sh`, or the program of the script's that is killed; empty: the script runs to its end
#   CALL                             the system call; empty: nobody is killed, and every call is told
#   NTH                              which of these calls, from 1
set -eu
work=/tmp/killed
mkdir -p "$work/bin"
rm -f "$work"/bin/* "$work"/answer "$work"/code "$work"/log
export OUT=$work/answer
tell() {
  (cd "$CONF_DIR" && find . -mindepth 1 -printf '%i %m ' -exec sha256sum '{}' ';')
}
if [ -z "$WHO" ]; then
  sh -c "$SCRIPT"
  cat "$OUT"
  tell
  exit
fi
[ -e "$CONF_DIR/$FILE" ] || mv "$CONF_DIR/$FILE.ovncilium-retired" "$CONF_DIR/$FILE"
if [ -n "$CALL" ]; then
  traced="strace -o /dev/null -e inject=$CALL:signal=KILL:when=$NTH"
else
  traced="strace -s 4096 -o $work/log"
fi
echo "== before"
tell
if [ "$WHO" = sh ]; then
  unshare --pid --fork $traced sh -c "$SCRIPT" || echo $? >"$work/code"
else
  printf '#!/bin/sh\n%s %s "$@" || { code=$?; echo $code >%s; exit $code; }\n' \
    "$traced" "$(command -v "$WHO")" "$work/code" >"$work/bin/$WHO"
  chmod 755 "$work/bin/$WHO"
  PATH=$work/bin:$PATH unshare --pid --fork sh -c "$SCRIPT" || :
fi
echo "== killed $(cat "$work/code" 2>/dev/null || echo 0)"
tell
if [ -z "$CALL" ]; then
  echo "== log"
  cat "$work/log"
fi
