#!/usr/bin/env bash
# User instructions of one SET and one GET on one node: callgrind's totals of two runs that differ
# only in how many requests they served. Start-up, shut-down and the load itself cancel out.
#
#     bench/instructions.sh
#
# The load is that of bench/redis.sh at P=16. Exits 1 above 1,500 instructions.
source "$(dirname "$0")/servers.sh"

bar=1500
few=20000
many=120000

# Sets `total`: what a node executes from start to stop around so many requests.
instructions() { # test requests
    local out=$work/callgrind.$1.$2
    rm -rf "$work/node-1"
    configure_node 1 1 'r: 1, w: 1, durability: "memory"'
    start_node 1 valgrind --tool=callgrind --callgrind-out-file="$out"
    await_ping "$base" "$work/node-1.log"
    await_write "$base"
    serve_load "$1" "$2"
    kill -TERM "$pid"
    wait "$pid" || true
    started=()
    [[ -s $out ]] || fail "callgrind wrote nothing; see $work/node-1.log"
    total=$(awk '$1 == "summary:" || $1 == "totals:" { n = $2 } END { print n }' "$out")
}

# A thousand keys, written before the count starts to matter.
serve_load() { # test requests
    local benchmark=(timeout 300 redis-benchmark -h 127.0.0.1 -p "$base" -d 100 -r 1000 -P 16 -q)
    "${benchmark[@]}" -c 50 -n 20000 -t set >/dev/null
    "${benchmark[@]}" -c 50 -n "$2" -t "$1" >/dev/null
}

need valgrind redis-cli redis-benchmark
need_release
missed=0
for test in set get; do
    free_ports 1
    instructions $test $few
    low=$total
    instructions $test $many
    each=$(((total - low) / (many - few)))
    verdict=met
    if ((each > bar)); then verdict=MISSED missed=1; fi
    say "${test^^}: $each user instructions (bar $bar: $verdict)"
done
exit $missed
