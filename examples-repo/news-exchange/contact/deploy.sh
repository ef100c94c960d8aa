#!/bin/sh -e
# Tell stores of each other: whoever has said its address within the last minute is a member.

LISTEN=$(ss-get listen)
NEWS=$HOME/news

cat >"$NEWS/contact.py" <<'END'
import json, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer

KEPT = 60
heard = {}


class Members(BaseHTTPRequestHandler):
    def do_GET(self):
        now = time.monotonic()
        members = sorted(address for address, at in heard.items() if now - at < KEPT)
        body = json.dumps(members).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        size = min(int(self.headers.get("Content-Length", 0)), 255)
        heard[self.rfile.read(size).decode()] = time.monotonic()
        self.do_GET()

    def log_message(self, *arguments):
        pass


class Server(HTTPServer):
    request_queue_size = 128


Server((sys.argv[1], int(sys.argv[2])), Members).serve_forever()
END

"$NEWS/serve" "${LISTEN%:*}" "${LISTEN##*:}" contact.py
ss-set url.members "http://$LISTEN/"
ss-set ready true
echo "Stores hear of each other at http://$LISTEN/"
