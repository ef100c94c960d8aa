#!/bin/sh -e
# The page of a site, from whichever of its stores answers. It keeps nothing.

HOST=$(ss-get hostname)
SITE=$(ss-get site)
STORES=$(ss-get --timeout 240 stores)
ss-get --timeout 240 stores.ready >/dev/null
PORT=8080
NEWS=$HOME/news

cat >"$NEWS/front.py" <<'END'
import json, random, sys
from html import escape
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import ThreadingMixIn
from urllib.request import ProxyHandler, build_opener

HOST, PORT, SITE = sys.argv[1:4]
STORES = sys.argv[4:]
LONGEST = 10000
PAGE = """<!doctype html>
<title>News at %s</title>
<h1>News at %s</h1>
<ul>
%s
</ul>
<form method="post" enctype="text/plain"><input name="story"> <button>Publish</button></form>
"""
opener = build_opener(ProxyHandler({}))


def ask(path, body=None):
    """Of the first store that answers."""
    error = None
    for store in random.sample(STORES, len(STORES)):
        try:
            with opener.open("http://%s:7000%s" % (store, path), body, timeout=5) as answer:
                return json.loads(answer.read().decode())
        except (OSError, ValueError) as problem:
            error = problem
    raise ConnectionError("no store answers: %s" % error)


class Front(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(lambda: ask("/stories"))

    def do_POST(self):
        size = min(int(self.headers.get("Content-Length", 0)), LONGEST)
        text = self.rfile.read(size).decode("utf-8", "replace").strip()
        if text.startswith("story="):
            text = text[len("story=") :]

        def publish():
            ask("/publish", text.encode())
            return ask("/stories")

        self.answer(publish)

    def answer(self, stories):
        try:
            items = ["<li>%s (%s)" % (escape(s["text"]), escape(s["site"])) for s in stories()]
            code, body = 200, PAGE % (escape(SITE), escape(SITE), "\n".join(items))
        except ConnectionError as error:
            code, body = 503, str(error)
        content = body.encode()
        self.send_response(code)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


class Server(ThreadingMixIn, HTTPServer):
    daemon_threads = True
    request_queue_size = 128


Server((HOST, int(PORT)), Front).serve_forever()
END

# shellcheck disable=SC2086  # one store per word
"$NEWS/serve" "$HOST" "$PORT" front.py "$SITE" $STORES
ss-set url.front "http://$HOST:$PORT/"
ss-set ready true
echo "The news at $SITE: http://$HOST:$PORT/"
