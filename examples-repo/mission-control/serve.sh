#!/bin/sh -e
# Serve the configuration, at the port that it names for this machine. Runs again whenever the
# configuration changes; a server that is up serves the new one.

NODETYPE=$(ss-get nodetype)
HOST=$(ss-get hostname)
CONFIGURATION=$HOME/scm_configuration
PORT=$(sed -n "s/.*role=\"$NODETYPE\".* port=\"\([0-9]*\)\".*/\1/p" "$CONFIGURATION/SDCF_MICONYS.xml")

# A process id may have gone to another program since it was written down.
is_server() {
    [ -r "/proc/$1/cmdline" ] && tr '\0' ' ' <"/proc/$1/cmdline" | grep -q http.server
}

mkdir -p "$HOME/scm_server"
if ! is_server "$(cat "$HOME/scm_server/pid" 2>/dev/null || true)"; then
    nohup python3 -m http.server "$PORT" --bind "$HOST" --directory "$CONFIGURATION" \
        >"$HOME/scm_server/log" 2>&1 </dev/null &
    echo $! >"$HOME/scm_server/pid"
fi

python3 - "$HOST" "$PORT" <<'END'
import socket, sys, time
deadline = time.monotonic() + 20
while True:
    try:
        socket.create_connection((sys.argv[1], int(sys.argv[2])), 1).close()
        break
    except OSError:
        if time.monotonic() > deadline:
            raise
        time.sleep(0.05)
END

ss-set url.configuration "http://$HOST:$PORT/SDCF_MICONYS.xml"
