#!/bin/sh -e
# Prime starts first: the others wait for it.

IP=$(ss-get hostname)
ss-set vncserver "$IP:5900"
ss-display "VNC $IP:5900"
ss-set ready true
