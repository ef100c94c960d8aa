#!/bin/sh -e
# Report to the computing element, with as many job slots as there are processors, and do this
# worker's piece of the job. Runs again whenever the pieces change.

mkdir -p "$HOME/gpod"
echo "ce=$(ss-get --timeout 600 ceHostname)" >"$HOME/gpod/worker.conf"
ss-set slots "$(getconf _NPROCESSORS_ONLN)"

# A worker that was added since the pieces were cut has none yet.
PIECE=$(ss-get --timeout 600 pieces | grep "^$HEADWATER_INDEX " || echo idle)
[ "$PIECE" = idle ] || PIECE="$PIECE $(python3 -IS - $PIECE <<'END'
import sys
first, last = map(int, sys.argv[2:])


def is_prime(number):
    return number > 1 and all(number % n for n in range(2, int(number ** 0.5) + 1))


print(sum(map(is_prime, range(first, last + 1))))
END
)"

ss-set counted "$PIECE"
ss-set ready true
