#!/usr/bin/env bash
# How many seeds the simulator needs to find each planted bug (`PlantedBug`): its power, measured.
#
# Seen with seeds 1 to 120:
#   acknowledge-before-sync 13            w-off-by-one 7
#   read-repair-with-fresh-stamp 24       identity-reused 4
#   lww-where-siblings-promised 1         merge-keeps-stored-side 1
#   sync-retried-after-eio 9              tombstones-dropped-at-restart 6
#   unknown-told-as-failed 1              emptied-by-own-clock 3
#   exchange-skips-tombstones 2           hint-for-anyone 48
#   session-forgets-evicted 12            uncovered-read-answers 4
#   removes-skip-catch-up 100             deltas-not-kept 6
#   covered-blindly 103                   tombstones-collected-unheard ?
#   collection-forgotten 9                old-disk-keeps-all 9
#   compacted-unsettled 43                overflow-keeps-newest 3
#   request-id-forgotten 8                expiry-carries-value 8
#   partial-mset 1                        refill-from-one 4
# The others take more. A scenario finds each for certain (`PlantedBugTests`): these numbers say how
# strong the seeds are, which look for bugs that nobody thought of.
# A change of the node or of the plan moves all of these.
#
# usage: bench/planted.sh [SEEDS]   seeds 1..SEEDS, 3000 unless told otherwise
source "$(dirname "$0")/servers.sh"

last=${1:-3000}
need_release
names=$("$quorate" simulate --seeds 1 --plant '?' 2>&1 | sed -n 's/^ *there are //p' | tr -d ',') || true
[ -n "$names" ] || { echo "no planted bugs are listed" >&2; exit 1; }
status=0
printf '%-32s %s\n' 'planted bug' 'seeds needed'
for name in $names; do
    found=$("$quorate" simulate --seeds "1..$last" --plant "$name" --json 2>/dev/null |
        sed -n 's/.*"seed":\([0-9]*\).*/\1/p') || true
    [ -n "$found" ] || status=1
    printf '%-32s %s\n' "$name" "${found:-more than $last}"
done
exit $status
