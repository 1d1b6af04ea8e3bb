#!/usr/bin/env bash
# One Quorate node beside redis-server under the same redis-benchmark load, in one run.
#
#     bench/redis.sh [ROUNDS]      5 rounds by default, about 20 s each
#
# Both keep data in memory only. Rounds alternate between the systems; figures are medians. Requests
# per second are what 50 connections saw; CPU per operation is the server's user and system time.
# Exits 1 when a bar is missed: at P=16 at least 1.2 times Redis's rate for at most 0.8 of its CPU, at
# P=1 no worse on either (within 2 %, the noise of one run).
source "$(dirname "$0")/servers.sh"

rounds=${1:-5}
connections=50
value_bytes=100
keys=100000
declare -A requests=([1]=${REQUESTS_P1:-200000} [16]=${REQUESTS_P16:-2000000})

# One measured load; appends `system test P rps cpu-µs/op p50 p99 server-share client-share`.
measure() { # system port pid test pipeline
    local system=$1 port=$2 server=$3 test=$4 pipeline=$5 count=${requests[$5]}
    local before after TIMEFORMAT='%R %U %S' row
    before=$(cpu_micros "$server")
    { time timeout 120 redis-benchmark -h 127.0.0.1 -p "$port" -c $connections -d $value_bytes \
        -r $keys -n "$count" -P "$pipeline" -t "$test" --csv >"$work/load.csv" 2>/dev/null
    } 2>"$work/load.time" || fail "redis-benchmark against $system"
    after=$(cpu_micros "$server")
    row=$(tail -n 1 "$work/load.csv" | tr -d '"')
    awk -v name="$system" -v test="$test" -v pipeline="$pipeline" -v count="$count" -v row="$row" \
        -v micros=$((after - before)) '{
            split(row, f, ",")
            printf "%s %s %s %s %.3f %s %s %.2f %.2f\n", name, test, pipeline, f[2],
                micros / count, f[5], f[7], micros / 1e6 / $1, ($2 + $3) / $1
        }' "$work/load.time" >>"$work/samples"
}

# Keys that both systems hold before the first round, so that no round measures an empty table.
warm() { # port
    redis-benchmark -h 127.0.0.1 -p "$1" -c $connections -d $value_bytes -r $keys -n 300000 -P 16 \
        -t set -q >/dev/null
}

report() {
    awk "$median"'
    function verdict(ok) { if (!ok) missed = 1; return ok ? "met" : "MISSED" }
    {
        for (i = 4; i <= 9; i++) values[$1, $2, $3, i] = values[$1, $2, $3, i] " " $i
    }
    END {
        line = "%-4s %3s  %10s %10s %7s  %8s %8s %7s  %-15s %s\n"
        printf line, "test", "P", "redis/s", "quorate/s", "ratio", "redis µs", "ours µs",
            "ratio", "bar", "verdict"
        for (t = 1; t <= 2; t++) for (p = 1; p <= 16; p += 15) {
            test = t == 1 ? "set" : "get"
            rate = median("quorate" SUBSEP test SUBSEP p SUBSEP 4)
            theirs = median("redis" SUBSEP test SUBSEP p SUBSEP 4)
            cpu = median("quorate" SUBSEP test SUBSEP p SUBSEP 5)
            cost = median("redis" SUBSEP test SUBSEP p SUBSEP 5)
            more = p == 16 ? 1.2 : 0.98
            less = p == 16 ? 0.8 : 1.02
            bar = p == 16 ? "≥1.2× and ≤0.8×" : "≥1.0× and ≤1.0×"
            printf line, toupper(test), p, int(theirs), int(rate), sprintf("%.2f", rate / theirs),
                sprintf("%.2f", cost), sprintf("%.2f", cpu), sprintf("%.2f", cpu / cost), bar,
                verdict(rate >= more * theirs && cpu <= less * cost)
        }
        print ""
        for (t = 1; t <= 2; t++) for (p = 1; p <= 16; p += 15) for (s = 1; s <= 2; s++) {
            test = t == 1 ? "set" : "get"
            name = (s == 1 ? "redis" : "quorate") SUBSEP test SUBSEP p SUBSEP
            server = median(name 8)
            client = median(name 9)
            limit = server > 0.9 && server >= client ? "server" : client > 0.9 ? "client" \
                : "neither; waiting for each other or for a core"
            printf "%-8s %s P=%-2d  p50 %.2f ms, p99 %.2f ms; a core is busy %.0f %% in the server, " \
                "%.0f %% in redis-benchmark: limited by %s\n", s == 1 ? "redis" : "quorate",
                toupper(test), p, median(name 6), median(name 7), 100 * server, 100 * client, limit
        }
        exit missed
    }' "$work/samples"
}

need redis-server redis-cli redis-benchmark
need_release
free_ports 2
start_redis $((base + 1))
redis=$pid
start_cluster 1 'r: 1, w: 1, durability: "memory"'
node=${nodes[0]}
warm "$base"
warm $((base + 1))
for ((round = 1; round <= rounds; round++)); do
    for pipeline in 1 16; do
        for test in set get; do
            if ((round % 2)); then measure redis $((base + 1)) "$redis" $test $pipeline; fi
            measure quorate "$base" "$node" $test $pipeline
            if ((round % 2 == 0)); then measure redis $((base + 1)) "$redis" $test $pipeline; fi
        done
    done
done
say "$(redis-server --version | cut -d' ' -f1-3); $connections connections, $value_bytes-byte values," \
    "$keys keys, $rounds rounds, $(nproc) cores"
report
