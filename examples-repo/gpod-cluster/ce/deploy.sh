#!/bin/sh -e
# Write down the workers where the batch system looks for them, hand out a job to them, and join
# what they have found. Runs again whenever the workers or their results change; so it never waits
# for a worker that has an older piece of the job: that one's next result brings it back.

JOB=$HOME/gpod
mkdir -p "$JOB"
ss-get --timeout 600 allWorkers >"$JOB/nodes.new"
mv "$JOB/nodes.new" "$JOB/nodes"
ss-set workers "$(grep -c . "$JOB/nodes" || true)"

# A piece is `INDEX FIRST LAST`: the worker, and the numbers that it looks at.
LIMIT=$(ss-get limit)
python3 -IS - "$LIMIT" "$(ss-get wn:ids)" >"$JOB/pieces" <<'END'
import sys
limit, workers = int(sys.argv[1]), sys.argv[2].split(",")
ends = [limit * n // len(workers) for n in range(len(workers) + 1)]
for worker, first, last in zip(workers, ends, ends[1:]):
    print(worker, first + 1, last)
END
ss-set pieces "$(cat "$JOB/pieces")"
ss-get --timeout 600 counts >"$JOB/counts"

# Checked by a sieve: another way to count than the workers', and each one's part is seen to be right.
python3 -IS - "$JOB" "$LIMIT" >"$JOB/result" <<'END'
import os, sys
job, limit = sys.argv[1], int(sys.argv[2])


def lines(name):
    with open(os.path.join(job, name)) as file:
        return [line.split() for line in file]


pieces = {tuple(piece) for piece in lines("pieces")}
counts = {tuple(count[:3]): int(count[3]) for count in lines("counts") if len(count) == 4}
missing = pieces - counts.keys()
if missing:
    print("pending: %d of %d pieces" % (len(missing), len(pieces)))
    sys.exit()
prime = bytearray([0, 0]) + bytearray([1]) * (limit - 1)
for n in range(2, int(limit ** 0.5) + 1):
    if prime[n]:
        prime[n * n :: n] = bytes(len(range(n * n, limit + 1, n)))
for worker, first, last in pieces:
    right = sum(prime[int(first) : int(last) + 1])
    if counts[worker, first, last] != right:
        found = counts[worker, first, last]
        sys.exit("wn.%s found %s primes in %s..%s: %s" % (worker, found, first, last, right))
total = sum(counts[piece] for piece in pieces)
print("%d primes up to %d, counted by %d workers" % (total, limit, len(pieces)))
END

ss-set result "$(cat "$JOB/result")"
ss-display "$(cat "$JOB/result")"
ss-set ready true
cat "$JOB/result"
