#!/bin/sh -e
# Serve one page, and say so once it can be fetched. Runs again whenever the greeting changes.

HOST=$(ss-get hostname)
GREETING=$(ss-get greeting)
PORT=8080
SITE=$HOME/hello-world

# A process id may have gone to another program since it was written down.
is_server() {
    [ -r "/proc/$1/cmdline" ] && tr '\0' ' ' <"/proc/$1/cmdline" | grep -q http.server
}

mkdir -p "$SITE/www"
OLD=$(cat "$SITE/pid" 2>/dev/null || true)
while is_server "$OLD"; do
    kill "$OLD" 2>/dev/null || true
    sleep 0.1
done

cat >"$SITE/www/index.html" <<END
<!doctype html>
<title>hello-world</title>
<p>$GREETING
END
nohup python3 -m http.server "$PORT" --bind "$HOST" --directory "$SITE/www" \
    >"$SITE/log" 2>&1 </dev/null &
echo $! >"$SITE/pid"

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

ss-set url.http "http://$HOST:$PORT/"
ss-set page "$GREETING"
ss-set ready true
echo "Serving http://$HOST:$PORT/"
