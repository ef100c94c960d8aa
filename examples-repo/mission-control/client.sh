#!/bin/sh -e
# The operators come in when both servers are there.

ss-get --timeout 600 prime.ready >/dev/null
ss-get --timeout 600 backup.ready >/dev/null
IP=$(ss-get hostname)
ss-set vncserver "$IP:5900"
ss-display "VNC $IP:5900"
ss-set ready true
