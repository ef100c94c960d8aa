#!/bin/sh -e
# The backup follows prime, and so starts after it.

ss-get --timeout 600 prime.ready >/dev/null
IP=$(ss-get hostname)
ss-set vncserver "$IP:5900"
ss-display "VNC $IP:5900"
ss-set ready true
