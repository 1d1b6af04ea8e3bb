#!/bin/sh
# How many seeds the simulator needs to find each planted bug (`PlantedBug`): its power, measured.
#
# Seen with seeds 1 to 1000 (all bugs found, about half a minute):
#   acknowledge-before-sync 13          rot-accepted 39
#   w-off-by-one 1                      sync-retried-after-eio 25
#   read-repair-with-fresh-stamp 102    tombstones-dropped-at-restart 6
#   identity-reused 90                  unknown-told-as-failed 2
#   lww-where-siblings-promised 1       refusal-counts-as-answer 9
#   merge-keeps-stored-side 1           interval-forgotten 75
#   emptied-by-own-clock 3              exchange-skips-tombstones 5
#   exchange-asks-nothing 1             groundless-delta-acknowledged 143
#   removes-skip-catch-up 53            deltas-not-kept 15
#   covered-blindly 5                   mixed-states-not-truncated 8
# A change of the node or of the plan moves these; `SimulationTests` then says so.
#
# usage: bench/planted.sh [SEEDS]   seeds 1..SEEDS, 1000 unless told otherwise
set -u
cd "$(dirname "$0")/.."
last=${1:-1000}
swift build -c release --product quorate >&2 || exit 1
quorate=.build/release/quorate
names=$($quorate simulate --seeds 1 --plant '?' 2>&1 | sed -n 's/^ *there are //p' | tr -d ',')
[ -n "$names" ] || { echo "no planted bugs are listed" >&2; exit 1; }
status=0
printf '%-32s %s\n' 'planted bug' 'seeds needed'
for name in $names; do
    found=$($quorate simulate --seeds "1..$last" --plant "$name" --json 2>/dev/null |
        sed -n 's/.*"seed":\([0-9]*\).*/\1/p')
    [ -n "$found" ] || status=1
    printf '%-32s %s\n' "$name" "${found:-more than $last}"
done
exit $status
