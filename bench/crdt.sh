#!/usr/bin/env bash
# What commands on typed values cost, beside the same commands on Redis in the same run; what an add
# to a small and to a large set puts on the wire and in the journal; what a counter takes in memory.
#
#     bench/crdt.sh [ROUNDS]      3 rounds by default, about a minute each
#
# Both sides answer redis-benchmark's own requests, 50 connections. One node holds its keys alone, in
# memory, as Redis does; then three nodes hold them, N=3 R=2 W=2, and all clients talk to one: its
# row counts the CPU of all three. Exits 1 when INCR or SADD on one node takes more than twice the
# CPU of Redis at P=16, or any of them more than twenty times: then it costs what is there.
source "$(dirname "$0")/servers.sh"

rounds=${1:-3}
declare -A requests=([1]=${REQUESTS_P1:-30000} [16]=${REQUESTS_P16:-100000})
tests=(incr sadd spop hset zadd zpopmin lpush rpush lpop rpop)

# One measured load; appends `system P test rps cpu-µs/op`.
measure() { # system port "pids" test pipeline
    local system=$1 port=$2 servers=$3 test=$4 pipeline=$5 count=${requests[$5]} before after
    redis-cli -p "$port" DEL mylist >/dev/null
    # A pop finds something to take, without a list that grows past what a record may hold.
    if [[ $test == [lr]pop ]]; then fill "$port" "${test:0:1}push" "$count"; fi
    if [[ $test == spop ]]; then fill "$port" sadd 10000; fi
    if [[ $test == zpopmin ]]; then fill "$port" zadd 10000; fi
    # shellcheck disable=SC2086  # process ids are words
    before=$(cpu_micros $servers)
    timeout 300 redis-benchmark -p "$port" -c 50 -r 10000 -n "$count" -P "$pipeline" -t "$test" \
        --csv >"$work/load.csv" 2>/dev/null || fail "redis-benchmark -t $test against $system"
    # shellcheck disable=SC2086
    after=$(cpu_micros $servers)
    tail -n 1 "$work/load.csv" | tr -d '"' | awk -F, -v name="$system" -v test="$test" \
        -v pipeline="$pipeline" -v count="$count" -v micros=$((after - before)) \
        '{ printf "%s %s %s %s %.3f\n", name, pipeline, test, $2, micros / count }' >>"$work/samples"
}

fill() { # port test count
    redis-benchmark -p "$1" -r 10000 -n "$3" -P 16 -t "$2" -q >/dev/null
}

report() {
    awk -v list="${tests[*]}" "$median"'
    { for (i = 4; i <= 5; i++) values[$1, $2, $3, i] = values[$1, $2, $3, i] " " $i }
    END {
        line = "%-8s %2s  %9s %9s %5s %9s %5s   %8s %8s %5s %8s %5s\n"
        printf line, "test", "P", "redis/s", "1 node/s", "×", "3 nodes/s", "×", "redis µs", \
            "1 node", "×", "3 nodes", "×"
        n = split(list, names, " ")
        for (p = 1; p <= 16; p += 15) for (t = 1; t <= n; t++) {
            key = SUBSEP p SUBSEP names[t] SUBSEP
            for (i = 4; i <= 5; i++) {
                redis[i] = median("redis" key i)
                one[i] = median("one" key i)
                three[i] = median("three" key i)
            }
            printf line, toupper(names[t]), p, int(redis[4]), int(one[4]), \
                sprintf("%.2f", one[4] / redis[4]), int(three[4]), \
                sprintf("%.2f", three[4] / redis[4]), sprintf("%.2f", redis[5]), \
                sprintf("%.2f", one[5]), sprintf("%.2f", one[5] / redis[5]), \
                sprintf("%.2f", three[5]), sprintf("%.2f", three[5] / redis[5])
            if (p == 16 && (names[t] == "incr" || names[t] == "sadd") && one[5] > 2 * redis[5])
                missed = 1
            if (p == 16 && one[5] > 20 * redis[5]) {
                printf "%s takes more than 20 × the CPU of Redis: MISSED\n", toupper(names[t])
                missed = 1
            }
        }
        printf "bars: INCR and SADD within 2 × the CPU of Redis at P=16, all within 20 ×: %s\n", missed ? "MISSED" : "met"
        exit missed
    }' "$work/samples"
}

counter() { # port name
    redis-cli -p "$1" INFO | tr -d '\r' | awk -F: -v name="$2" '$1 == name { print $2 }'
}

# What the first node has handed to write calls: its journal, because sockets are written with send.
journal_bytes() {
    awk '$1 == "wchar:" { print $2 }' "/proc/${nodes[0]}/io"
}

# Members of 100 bytes as a mass insert; the add that is measured has 20 bytes.
members() { # key count bytes from
    awk -v key="$1" -v count="$2" -v width="$3" -v from="$4" 'BEGIN {
        for (i = from; i < from + count; i++) printf "SADD %s %0*d\r\n", key, width, i
    }'
}

measure_deltas() { # set-bytes
    local key=set:$1 adds=1000 deltas bytes states journal
    members "$key" $(($1 / 100)) 100 0 | redis-cli -p "$base" --pipe >/dev/null
    sleep 0.5
    deltas=$(counter "$base" deltas_sent)
    bytes=$(counter "$base" delta_bytes)
    states=$(counter "$base" states_sent)
    journal=$(journal_bytes)
    members "$key" $adds 20 1000000 | redis-cli -p "$base" --pipe >/dev/null
    sleep 0.5
    deltas=$(($(counter "$base" deltas_sent) - deltas))
    bytes=$(($(counter "$base" delta_bytes) - bytes))
    say "SADD of 20 bytes to a set of $1 bytes: $((bytes / deltas)) bytes on the wire to each" \
        "replica, $((($(journal_bytes) - journal) / adds)) in the journal," \
        "$(($(counter "$base" states_sent) - states)) whole states sent"
}

resident() { # pid
    awk '$1 == "VmRSS:" { print $2 * 1024 }' "/proc/$1/status"
}

measure_memory() { # system port pid
    local before count=100000
    before=$(resident "$3")
    awk -v count=$count 'BEGIN { for (i = 0; i < count; i++) printf "INCR memory:%d\r\n", i }' |
        redis-cli -p "$2" --pipe >/dev/null
    say "$1: $((($(resident "$3") - before) / count)) bytes of memory a counter key," \
        "of $count"
}

need redis-server redis-cli redis-benchmark
need_release
free_ports 5
port=$base
start_redis $((port + 4))
redis=$pid
measure_memory Redis $((port + 4)) "$redis"
start_cluster 1 'r: 1, w: 1, durability: "memory", conflict: "crdt"'
one=${nodes[0]}
measure_memory "one node" "$port" "$one"
for ((round = 1; round <= rounds; round++)); do
    for pipeline in 1 16; do
        for test in "${tests[@]}"; do
            measure redis $((port + 4)) "$redis" "$test" $pipeline
            measure one "$port" "$one" "$test" $pipeline
        done
    done
done
kill -TERM "$one"
wait "$one" || true
rm -rf "$work/node-1"
start_cluster 3 'r: 2, w: 2, durability: "memory", conflict: "crdt"'
for ((round = 1; round <= rounds; round++)); do
    for pipeline in 1 16; do
        for test in "${tests[@]}"; do measure three "$port" "${nodes[*]}" "$test" $pipeline; done
    done
done
for pid in "${nodes[@]}"; do
    kill -TERM "$pid"
    wait "$pid" || true
done
rm -rf "$work"/node-[123]
start_cluster 3 'r: 2, w: 2, durability: "interval(50)", conflict: "crdt"'
measure_deltas 100 >/dev/null  # the journal sets its first segment up
for size in 1000 100000 1000000; do measure_deltas $size; done
say ""
say "$(redis-server --version | cut -d' ' -f1-3); 50 connections, $rounds rounds, $(nproc) cores"
report
