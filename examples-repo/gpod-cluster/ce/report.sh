#!/bin/sh -e
# Send the result of the job, and how it was come by.

cd "$HOME/gpod"
for FILE in nodes pieces counts result; do
    [ ! -e "$FILE" ] || cp "$FILE" "$HEADWATER_REPORT_DIR"
done
