#!/usr/bin/env bash
# What a known bound on staleness and a session cost: reads of one key each at one of three real nodes, all
# of which hold every key, while another client writes.
#
#     bench/session.sh [REQUESTS]     200000 by default
#
# Rows: reads a second and the CPU of all three nodes for each, beside `R 1`, which promises nothing. A read
# with a bound is answered by the node alone as long as it hears from the others; then the reads of one
# connection in a session and out of it, each read sent behind the one before.
#
# Seen on two cores with a load of 8 beside it, so ratios more than rates; bounded reads were all answered here:
#   STALENESS 500ms 0.86-0.92 of R 1 at 2.4-2.8 µs a read; R 2 and R 3 0.31-0.35 at 7-10 µs
#   a session that reads 200 keys 0.98 of none; 10000 keys, all being written, 0.06: most reads ask every replica
source "$(dirname "$0")/servers.sh"

requests=${1:-200000}

# Appends a sample: name, reads a second, CPU microseconds a read.
measure() { # name words…
    local name=$1 cpu rate
    shift
    cpu=$(cpu_micros "${nodes[@]}")
    rate=$(timeout 300 redis-benchmark -p "$base" -c 50 -P 16 -n "$requests" -r 10000 --csv \
        GET key:__rand_int__ "$@" | tail -1 | tr -d '"' | cut -d, -f2)
    cpu=$(($(cpu_micros "${nodes[@]}") - cpu))
    say "$name $rate $(awk -v c=$cpu -v n="$requests" 'BEGIN { print c / n }')" >>"$work/samples"
}

# The same over one connection.
measure_pipe() { # name first-command keys
    local name=$1 begun took
    awk -v first="$2" -v keys="$3" -v n="$requests" 'BEGIN {
        print first
        for (i = 0; i < n; i++) printf "GET key:%012d\r\n", i * 7919 % keys
    }' >"$work/pipe.in"
    begun=$(date +%s%N)
    timeout 300 redis-cli -p "$base" --pipe <"$work/pipe.in" >"$work/pipe.out" 2>&1
    took=$(($(date +%s%N) - begun))
    grep -q 'errors: 0' "$work/pipe.out" || fail "$(tail -n 3 "$work/pipe.out")"
    awk -v name="$name" -v n="$requests" -v ns=$took 'BEGIN { print name, n / (ns / 1e9), "-" }' \
        >>"$work/samples"
}

report() {
    awk '
    { rate[$1] = $2; cpu[$1] = $3; order[NR] = $1 }
    END {
        printf "%-18s %10s %12s %8s\n", "", "reads/s", "CPU µs/read", "ratio"
        for (i = 1; i <= NR; i++) {
            name = order[i]
            base = name ~ /connection|session/ ? rate["one-connection"] : rate["R-1"]
            printf "%-18s %10d %12s %8.2f\n", name, rate[name], cpu[name], rate[name] / base
        }
    }' "$work/samples"
}

need redis-cli redis-benchmark
need_release
free_ports 3
start_cluster 3 'r: 1, w: 1, durability: "memory", readrepair: 0'
timeout 300 redis-benchmark -p "$base" -c 50 -P 16 -n 100000 -r 10000 -q \
    SET key:__rand_int__ value >/dev/null
start writer redis-benchmark -p $((base + 1)) -c 1 -n 100000000 -r 10000 -q \
    SET key:__rand_int__ other
sleep 1
measure R-1 R 1
measure STALENESS-500ms STALENESS 500ms
measure R-2 R 2
measure R-3 R 3
measure_pipe one-connection PING 10000
measure_pipe session-200-keys 'SESSION ON' 200
measure_pipe session-10000-keys 'SESSION ON' 10000
report
say "of the reads with a bound, here:" \
    "$(redis-cli -p "$base" INFO | tr -d '\r' | sed -n 's/^bounded_reads_here://p')"
