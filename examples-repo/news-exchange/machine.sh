#!/bin/sh -e
# Leave a program that starts others: serve HOST PORT PROGRAM [ARGUMENT...]

NEWS=$HOME/news
mkdir -p "$NEWS"
cat >"$NEWS/serve" <<'END'
#!/bin/sh -e
# Run the Python program in place of the one before it, and wait until its port answers.

HOST=$1 PORT=$2 PROGRAM=$3
NEWS=$(dirname "$0")

# A process id may have gone to another program since it was written down.
is_old() {
    [ -r "/proc/$1/cmdline" ] && tr '\0' ' ' <"/proc/$1/cmdline" | grep -q "$PROGRAM"
}

OLD=$(cat "$NEWS/pid" 2>/dev/null || true)
while is_old "$OLD"; do
    kill "$OLD" 2>/dev/null || true
    sleep 0.1
done
shift 3
nohup python3 "$NEWS/$PROGRAM" "$HOST" "$PORT" "$@" >"$NEWS/log" 2>&1 </dev/null &
NEW=$!
echo "$NEW" >"$NEWS/pid"

python3 - "$HOST" "$PORT" "$NEW" <<'WAIT' || { tail -n 5 "$NEWS/log" >&2; exit 1; }
import os, socket, sys, time
host, port, process = sys.argv[1], int(sys.argv[2]), sys.argv[3]
deadline = time.monotonic() + 60
while True:
    try:
        socket.create_connection((host, port), 1).close()
        break
    except OSError:
        if time.monotonic() > deadline or not os.path.exists("/proc/" + process):
            sys.exit("nothing answers at %s:%d" % (host, port))
        time.sleep(0.05)
if not os.path.exists("/proc/" + process):
    sys.exit("another program answers at %s:%d" % (host, port))
WAIT
END
chmod +x "$NEWS/serve"
