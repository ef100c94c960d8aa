#!/bin/sh -e
# One replica of the store. A new story goes to the peers of the site and to a few stores
# elsewhere at once, which pass it on; and from time to time two stores compare what they have.

HOST=$(ss-get hostname)
SITE=$(ss-get site)
CONTACT=$(ss-get contact)
PEERS=$(ss-get --timeout 240 peers)
PORT=7000
NEWS=$HOME/news
# A volume: it outlives the machine. (HEADWATER_ROOT is set where the machine is a mere folder.)
KEPT=$HEADWATER_ROOT/srv/news

cat >"$NEWS/store.py" <<'END'
import json, os, random, sys, threading, time, uuid
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import ThreadingMixIn
from urllib.request import ProxyHandler, build_opener

HOST, PORT, KEPT, SITE, CONTACT = sys.argv[1:6]
PEERS = [peer for peer in sys.argv[6:] if peer != HOST]
FILE = os.path.join(KEPT, "stories")
PAUSE = 5.0
FEW = 3

stories, members, lock = {}, [], threading.Lock()
opener = build_opener(ProxyHandler({}))


def ask(address, path, body=None):
    with opener.open("http://%s%s" % (address, path), body, timeout=10) as answer:
        return json.loads(answer.read().decode())


def keep(received):
    """Take over what is new, durably; returns it."""
    with lock:
        new = [story for story in received if story["id"] not in stories]
        with open(FILE, "a") as file:
            for story in new:
                stories[story["id"]] = story
                file.write(json.dumps(story) + "\n")
    return new


def others():
    return [member for member in members if member != HOST and member not in PEERS]


def spread(new):
    """Who cannot be reached now is told when it compares."""
    elsewhere = others()
    for peer in PEERS + random.sample(elsewhere, min(FEW, len(elsewhere))):
        send(peer, new)


def send(peer, new):
    try:
        ask("%s:%s" % (peer, PORT), "/stories", json.dumps(new).encode())
    except (OSError, ValueError) as error:
        print("%s is told later: %s" % (peer, error), flush=True)


def compare():
    """Hear of the others, and have what one of them has."""
    if CONTACT:
        members[:] = ask(CONTACT, "/", HOST.encode())
    known = PEERS + others()
    if known:
        peer = random.choice(known)
        theirs = ask("%s:%s" % (peer, PORT), "/stories")
        keep(theirs)
        have = {story["id"] for story in theirs}
        lacking = [story for story in list(stories.values()) if story["id"] not in have]
        if lacking:
            send(peer, lacking)


def compare_for_ever():
    while True:
        try:
            compare()
        except (OSError, ValueError) as error:
            print("not compared: %s" % error, flush=True)
        time.sleep(PAUSE * random.uniform(0.5, 1.5))


class Store(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(list(stories.values()))

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        if self.path == "/publish":
            received = [{"id": uuid.uuid4().hex, "site": SITE, "text": body}]
        else:
            received = json.loads(body)
        new = keep(received)
        if new:
            threading.Thread(target=spread, args=(new,), daemon=True).start()
        self.answer(new)

    def answer(self, content):
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


class Server(ThreadingMixIn, HTTPServer):
    daemon_threads = True
    request_queue_size = 128


if os.path.exists(FILE):
    with open(FILE) as file:
        stories.update((story["id"], story) for story in map(json.loads, file))
server = Server((HOST, int(PORT)), Store)
threading.Thread(target=compare_for_ever, daemon=True).start()
server.serve_forever()
END

# shellcheck disable=SC2086  # one peer per word
"$NEWS/serve" "$HOST" "$PORT" store.py "$KEPT" "$SITE" "$CONTACT" $PEERS
ss-set url.stories "http://$HOST:$PORT/stories"
ss-set ready true
echo "Stories of $SITE at http://$HOST:$PORT/stories"
