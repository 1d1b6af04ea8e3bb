#!/usr/bin/env bash
# Three Quorate nodes, N=3 W=2 R=2, beside Redis with two replicas and WAIT 1: a write is done when
# two memories hold it.
#
#     bench/replicated.sh [ROUNDS]      3 rounds by default, about 15 s each
#
# 64 connections with one write under way each; Redis gets SET and WAIT in one packet, its best case.
# Redis's clients all talk to its primary. Quorate's do so in the row "one node", and are spread over
# the nodes in the row "all nodes", which is what a store without a leader offers; that row has the
# bar of 1.0 times Redis. All servers share this machine, so their CPU per write says more than rates.
source "$(dirname "$0")/servers.sh"

rounds=${1:-3}
connections=64
value_bytes=100
requests=${REQUESTS:-200000}

# Appends `system writes/s p50 p99 cpu-µs/write servers'-share generator's-share`.
measure() { # system mode "pids" port…
    local system=$1 mode=$2 servers=$3 before after
    shift 3
    # shellcheck disable=SC2086  # process ids are words
    before=$(cpu_micros $servers)
    timeout 120 "$load" "$mode" $connections "$requests" $value_bytes - "$@" >"$work/load.out" ||
        fail "load against $system"
    # shellcheck disable=SC2086
    after=$(cpu_micros $servers)
    awk -v name="$system" -v micros=$((after - before)) -v wanted="$requests" '{
            if ($2 != wanted) print name ": " $0 > "/dev/stderr"
            print name, $2 / $8, $10, $12, micros / $2, micros / 1e6 / $8, $14 / $8
        }' "$work/load.out" >>"$work/samples"
}

report() {
    awk -v cores="$(nproc)" "$median"'
    { for (i = 2; i <= 7; i++) values[$1, i] = values[$1, i] " " $i }
    END {
        line = "%-22s %9s %8s %8s %12s %6s  %s\n"
        printf line, "", "writes/s", "p50 µs", "p99 µs", "CPU µs/write", "ratio", "cores busy"
        split("redis one-node all-nodes", names, " ")
        split("redis + 2 replicas,quorate one node,quorate all nodes", titles, ",")
        base = median("redis" SUBSEP 2)
        for (i = 1; i <= 3; i++) {
            name = names[i] SUBSEP
            ratio = median(name 2) / base
            busy = sprintf("%.2f servers + %.2f load of %d", median(name 6), median(name 7), cores)
            printf line, titles[i], int(median(name 2)), int(median(name 3)), int(median(name 4)),
                sprintf("%.1f", median(name 5)), sprintf("%.2f", ratio), busy
        }
        printf "bar ≥ 1.0× on all nodes: %s\n", (ratio >= 1 ? "met" : "MISSED")
        exit (ratio < 1)
    }' "$work/samples"
}

need redis-server redis-cli
need_release
build_load
free_ports 6
redis_port=$((base + 3))
start_redis $redis_port
redis=$pid
for replica in 1 2; do
    start_redis $((redis_port + replica)) --replicaof 127.0.0.1 $redis_port
    redis+=" $pid"
done
start_cluster 3 'r: 2, w: 2, durability: "memory"'
until [[ $(redis-cli -p $redis_port INFO replication | grep -c 'state=online') == 2 ]]; do
    ((SECONDS < 30)) || fail "Redis's replicas do not come online"
    sleep 0.1
done
for ((round = 1; round <= rounds; round++)); do
    measure redis setwait "$redis" $redis_port
    measure one-node set "${nodes[*]}" "$base"
    measure all-nodes set "${nodes[*]}" "$base" $((base + 1)) $((base + 2))
done
say "N=3 W=2 R=2 in memory; $connections connections, $value_bytes-byte values, $requests writes," \
    "$rounds rounds"
report
