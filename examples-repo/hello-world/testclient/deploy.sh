#!/bin/sh -e
# Fetch the page once the server is ready, and check what it says.

HOST=$(ss-get --timeout 240 webserver.hostname)
ss-get --timeout 240 webserver.ready >/dev/null
PAGE=$(ss-get webserver.page)

python3 - "http://$HOST:8080/" "$PAGE" <<'END'
import sys
from urllib.request import ProxyHandler, build_opener
url, expected = sys.argv[1:]
page = build_opener(ProxyHandler({})).open(url, timeout=20).read().decode()
if expected not in page:
    sys.exit("%s does not say %r but %r" % (url, expected, page))
END

ss-set fetched "http://$HOST:8080/"
echo "Fetched http://$HOST:8080/: $PAGE"
