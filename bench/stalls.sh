#!/usr/bin/env bash
# How long a node answers nobody while something large runs on it: the longest time that a PING takes, one
# sent every 5 ms, beside the same on Redis where Redis has it.
#
#     bench/stalls.sh [ROUNDS [CASE…]]      3 rounds and all cases by default
#
# One round of one case takes about a minute, most of which fills the keys; all cases take ten minutes and more.
#
# Keys: 1,000,000 short strings, sets, a list and a hash of 100,000 elements, 50 strings of 1 MB. A row is the median
# of the rounds; the bar is 15 ms on a quiet machine, and the status is 1 when a row is above it. A case is a function
# `case_NAME`, which runs while PINGs are sent to `port`; CASE is NAME or `case_NAME`. `prepare_NAME` and `tidy_NAME`,
# where they exist, run before and after it. Cases in `on_one` run against one node and against Redis, in
# `only_quorate` against one node only, in `on_three` against the first of three nodes whose ports start at `base`
# (N=3 R=2 W=2), in `on_disk` against three that write a journal.
source "$(dirname "$0")/servers.sh"

on_one=(smembers hgetall lrange linsert lrem sunion mget mget_many del del_many del_set scan scan_large srandmember
    pipeline dbsize flushall)
only_quorate=(keyspaces)
on_three=(three_smembers three_mget three_pipeline three_keyspaces three_pause three_refill three_flushall)
on_disk=(disk_checkpoint disk_restart disk_catch_up)

rounds=${1:-3}
shift $(($# > 0 ? 1 : 0))
chosen=("${@#case_}")
cases=("${on_one[@]}" "${only_quorate[@]}" "${on_three[@]}" "${on_disk[@]}")
for name in "${chosen[@]}"; do
    [[ " ${cases[*]} " == *" $name "* ]] || fail "no such case: $name; there are ${cases[*]}"
done
keys=${KEYS:-1000000}
elements=${ELEMENTS:-100000}

# What is asked of a large value; the replies are read as fast as they come.
ask() { pipe "$port"; }
repeat() { # count line
    awk -v count="$1" -v line="$2" 'BEGIN { for (i = 0; i < count; i++) printf "%s\r\n", line }'
}
collection() { # command key elements
    awk -v command="$1" -v key="$2" -v count="$3" 'BEGIN {
        for (i = 0; i < count; i++) {
            if (i % 500 == 0) printf "%s%s %s", i ? "\r\n" : "", command, key
            if (command == "HSET") printf " %06d", i
            printf " %06d", i
        }
        printf "\r\n"
    }' | ask
}
large_strings() { # prefix count
    awk -v prefix="$1" -v count="$2" 'BEGIN {
        value = sprintf("%01000d", 0)
        for (i = 0; i < 10; i++) value = value value
        value = substr(value, 1, 1000000)
        for (i = 0; i < count; i++) {
            key = prefix ":" i
            printf "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$1000000\r\n%s\r\n", length(key), key, value
        }
    }' | ask
}

fill() { # what every case finds
    awk -v count="$keys" 'BEGIN { for (i = 0; i < count; i++) printf "SET key:%07d value\r\n", i }' | ask
    collection SADD typed:set "$elements"
    collection SADD typed:other "$elements"
    collection HSET typed:hash "$elements"
    collection RPUSH typed:list "$elements"
    large_strings large 50
}

case_smembers() { repeat 20 'SMEMBERS typed:set' | ask; }
case_hgetall() { repeat 20 'HGETALL typed:hash' | ask; }
case_lrange() { repeat 20 'LRANGE typed:list 0 -1' | ask; }
# Looked for among all elements, and not found.
case_linsert() { repeat 20 'LINSERT typed:list BEFORE none x' | ask; }
case_lrem() { repeat 20 'LREM typed:list 0 none' | ask; }
case_sunion() { repeat 20 'SUNION typed:set typed:other typed:hash-none' | ask; }
case_mget() {
    awk 'BEGIN {
        for (n = 0; n < 10; n++) {
            printf "MGET"
            for (i = 0; i < 50; i++) printf " large:%d", i
            printf "\r\n"
        }
    }' | ask
}
# One request of as many keys as one may have.
many_keys() { # command
    awk -v command="$1" 'BEGIN {
        printf "*1048576\r\n$%d\r\n%s\r\n", length(command), command
        for (i = 1; i < 1048576; i++) printf "$12\r\nnone:%07d\r\n", i
    }' | ask
}
case_mget_many() { many_keys MGET; }
case_del_many() { many_keys DEL; }
case_srandmember() { repeat 20 'SRANDMEMBER typed:set -100000' | ask; }
case_pipeline() { repeat 500 'GET large:7' | ask; }
case_del() {
    awk -v count=$((keys / 10)) 'BEGIN {
        for (i = 0; i < count; i += 5000) {
            printf "DEL"
            for (j = i; j < i + 5000; j++) printf " key:%07d", j
            printf "\r\n"
        }
    }' | ask
}
tidy_del() {
    awk -v count=$((keys / 10)) 'BEGIN { for (i = 0; i < count; i++) printf "SET key:%07d value\r\n", i }' | ask
}
prepare_del_set() { collection SADD typed:doomed "$elements"; }
case_del_set() { repeat 1 'DEL typed:doomed' | ask; }
scan_all() { # count
    local cursor=0
    while :; do
        cursor=$(redis-cli -p "$port" SCAN "$cursor" COUNT "$1" MATCH 'key:00001*' | head -n 1)
        [[ $cursor == 0 ]] && return
    done
}
case_scan() { scan_all 10000; }
case_scan_large() { repeat 50 'SCAN 0 COUNT 100000' | ask; }
case_three_smembers() { case_smembers; }
case_three_mget() { case_mget; }
case_three_pipeline() { case_pipeline; }

# What concerns every record.
case_dbsize() { repeat 1000 'DBSIZE' | ask; }
case_flushall() {
    repeat 1 'FLUSHALL' | ask
    sleep 2
}
tidy_flushall() { fill; }
case_keyspaces() {
    order "$port" KEYSPACE CREATE key durability=memory
    order "$port" KEYSPACE ALTER key ttl=0
    order "$port" KEYSPACE DROP key
    sleep 2
}
tidy_keyspaces() {
    awk -v count="$keys" 'BEGIN { for (i = 0; i < count; i++) printf "SET key:%07d value\r\n", i }' | ask
}
case_three_keyspaces() { case_keyspaces; }
tidy_three_keyspaces() { tidy_keyspaces; }
case_three_flushall() { case_flushall; }
tidy_three_flushall() { fill; }
# Another node stands still for a while, and has to catch up with 10,000 keys.
case_three_pause() {
    kill -STOP "${nodes[2]}"
    awk 'BEGIN { for (i = 0; i < 10000; i++) printf "SET key:%07d later\r\n", i }' | ask
    kill -CONT "${nodes[2]}"
    sleep 5
}
# Another node comes back with nothing, and takes everything over.
case_three_refill() {
    kill_node 3
    rm -rf "$work/node-3"
    mkdir "$work/node-3"
    return_node 3
    sleep 5
}

# Enough is written for a checkpoint of everything.
checkpoints() { ls "$work/node-1" | grep '^checkpoint-' || true; }
case_disk_checkpoint() {
    local before tries
    before=$(checkpoints)
    for ((tries = 0; tries < 200; tries++)); do
        # A disk that is slower than what is written answers OVERLOADED.
        (large_strings large 10) >/dev/null 2>&1 || sleep 0.2
        [[ $(checkpoints) != "$before" ]] && return
    done
    fail "no checkpoint was written"
}
# Another node is killed and comes back.
case_disk_restart() {
    kill_node 3
    return_node 3
    sleep 2
}
# It comes back when a tenth of the keys has been deleted and written anew.
prepare_disk_catch_up() { kill_node 3; }
case_disk_catch_up() {
    case_del
    tidy_del
    return_node 3
    sleep 5
}

build_gap() {
    local compiler
    compiler=$(command -v cc || command -v clang) || fail "no C compiler for bench/gap.c"
    gap=$work/gap
    "$compiler" -O2 -Wall -Werror -o "$gap" "$repository/bench/gap.c"
}

if_defined() { if declare -F "$1" >/dev/null; then "$1"; fi; }

# Appends `case system longest-ms`.
measure() { # case system
    local pinger
    if_defined "prepare_$1"
    "$gap" "$port" >"$work/gap.out" &
    pinger=$!
    "case_$1"
    kill -TERM "$pinger"
    wait "$pinger" || fail "$1: $2 closed the connection that sent PING"
    say "$1 $2 $(cut -d' ' -f1 "$work/gap.out")" >>"$work/samples"
    if_defined "tidy_$1"
}

is_chosen() {
    ((${#chosen[@]} == 0)) || [[ " ${chosen[*]} " == *" $1 "* ]]
}

any_chosen() {
    local name
    for name in "$@"; do if is_chosen "$name"; then return 0; fi; done
    return 1
}

run_cases() { # system case…
    local system=$1 name round
    shift
    for name in "$@"; do
        is_chosen "$name" || continue
        for ((round = 1; round <= rounds; round++)); do measure "$name" "$system"; done
    done
}

report() {
    awk "$median"'
    {
        values[$1, $2] = values[$1, $2] " " $3
        if (!seen[$1]++) order[++count] = $1
    }
    END {
        printf "%-18s %12s %12s\n", "longest PING, ms", "Quorate", "Redis"
        for (i = 1; i <= count; i++) {
            own = (order[i], "quorate") in values ? sprintf("%.1f", median(order[i] SUBSEP "quorate")) : "-"
            other = (order[i], "redis") in values ? sprintf("%.1f", median(order[i] SUBSEP "redis")) : "-"
            printf "%-18s %12s %12s%s\n", order[i], own, other, (own + 0 > 15 ? "  > 15" : "")
            above += own + 0 > 15
        }
        exit above > 0
    }' "$work/samples"
}

need redis-server redis-cli
need_release
build_gap
free_ports 4
settings='durability: "memory"'
if any_chosen "${on_one[@]}" "${only_quorate[@]}"; then
    start_cluster 1 "r: 1, w: 1, $settings"
    port=$base
    redis-cli -p "$port" KEYSPACE CREATE typed n=1 conflict=crdt durability=memory >/dev/null
    fill
    run_cases quorate "${on_one[@]}" "${only_quorate[@]}"
    kill -TERM "${nodes[0]}"
    wait "${nodes[0]}" || true
    rm -rf "$work/node-1"
fi
if any_chosen "${on_one[@]}"; then
    start_redis $((base + 3))
    port=$((base + 3))
    fill
    run_cases redis "${on_one[@]}"
    kill -TERM "$pid"
    wait "$pid" || true
fi
if any_chosen "${on_three[@]}"; then
    start_cluster 3 "r: 2, w: 2, $settings"
    port=$base
    redis-cli -p "$port" KEYSPACE CREATE typed n=3 r=2 w=2 conflict=crdt durability=memory >/dev/null
    fill
    run_cases quorate "${on_three[@]}"
    stop_all
    rm -rf "$work"/node-?
fi
if any_chosen "${on_disk[@]}"; then
    start_cluster 3 'r: 2, w: 2, durability: "interval(100)"'
    port=$base
    redis-cli -p "$port" KEYSPACE CREATE typed n=3 r=2 w=2 conflict=crdt 'durability=interval(100)' >/dev/null
    fill
    run_cases quorate "${on_disk[@]}"
fi
say ""
report
