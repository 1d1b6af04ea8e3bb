#!/usr/bin/env bash
# Anti-entropy measured: three real nodes, one of them cut off silently while others write, then healed;
# nobody reads. How long until the node has everything, and what it cost.
#
#     bench/exchange.sh [CUT-SECONDS]     20 by default
#
# Rows: keys held, keys written during the cut, seconds from the end of the cut until the node has all of
# them (it is asked every 0.1 s with R 1, which repairs nothing), keys and bytes that exchanges sent on all
# nodes, bytes for each key that differed, and keys that read repair sent. Then a node comes back with an
# empty disk: once the one that begins exchanges, once one that is asked, once under load; until it is
# whole it answers no reads.
#
# Seen on two shared cores, with a cut of 20 s in the first row and 3 s in the others:
#   100000 keys, 1000 dirty: 0.8 s, 610 bytes/key      10: 0.2 s     100: 0.4 s     10000: 1.3 s, 411 bytes/key
#   back empty, 300000 keys: node 1 5.1 s, whole 5.2 s, 379 bytes/key; node 3 3.3 s, whole 3.4 s, 252 bytes/key
#       while 8 connections write without a pause: node 3 3.2 s, whole 4.2 s, 259 bytes/key
#   10000 keys, 1000 dirty: 0.5 s, 553 bytes/key       1000000 keys, 1000 dirty: 0.6 s, 650 bytes/key
source "$(dirname "$0")/servers.sh"

cut_seconds=${1:-20}

# The sum of a counter over all nodes.
counter() { # name
    local node total=0 value
    for node in 0 1 2; do
        value=$(redis-cli -p $((base + node)) INFO 2>/dev/null | tr -d '\r' | sed -n "s/^$1://p")
        total=$((total + ${value:-0}))
    done
    say "$total"
}

# Sends lines as inline commands and fails when one of them is refused.
await_keys() { # count
    local node tries
    for node in 0 1 2; do
        for ((tries = 0; tries < 600; tries++)); do
            (($(redis-cli -p $((base + node)) DBSIZE 2>/dev/null || say 0) >= $1)) && continue 2
            sleep 0.1
        done
        fail "node $((node + 1)) has $(redis-cli -p $((base + node)) DBSIZE) of $1 keys after 60 s"
    done
}

fresh() { # dirty: how many of them node 3 has
    awk -v n="$1" 'BEGIN { for (i = 0; i < n; i++) print "GET k:" i * 10 " R 1" }' |
        redis-cli -p $((base + 2)) | grep -c '^new' || true
}

load_keys() { # count
    local first
    # A node has at most 65,536 requests under way.
    for ((first = 0; first < $1; first += 50000)); do
        awk -v i=$first -v n="$1" 'BEGIN {
            for (end = i + 50000; i < n && i < end; i++) printf "SET k:%d old%096d\r\n", i, i
        }' | pipe "$base"
    done
    await_keys "$1"
}

measure() { # keys dirty seconds
    local keys=$1 dirty=$2 seconds=$3 begun healed got repairs sent bytes node
    load_keys "$keys"
    sleep 3
    sent=$(counter exchanged_keys) bytes=$(counter exchange_bytes) repairs=$(counter read_repairs)
    for node in 0 1; do
        expect OK redis-cli -p $((base + node)) DEBUG CUT 3 $((seconds * 1000))
    done
    begun=$(date +%s%N)
    awk -v n="$dirty" 'BEGIN { for (i = 0; i < n; i++) printf "SET k:%d new%096d\r\n", i * 10, i }' |
        pipe "$base"
    healed=$((begun + seconds * 1000000000))
    while (($(date +%s%N) < healed)); do sleep 0.05; done
    until got=$(fresh "$dirty") && ((got == dirty)); do
        (($(date +%s%N) - healed < 60000000000)) || fail "$got of $dirty keys after 60 s"
        sleep 0.1
    done
    awk -v keys="$keys" -v dirty="$dirty" -v ns=$(($(date +%s%N) - healed)) \
        -v sent=$(($(counter exchanged_keys) - sent)) -v bytes=$(($(counter exchange_bytes) - bytes)) \
        -v repairs=$(($(counter read_repairs) - repairs)) 'BEGIN {
            printf "%9d %9d %8.1f %10d %11d %9d %8d\n", keys, dirty, ns / 1e9, sent, bytes, bytes / dirty, repairs
        }'
    expect OK redis-cli -p "$base" FLUSHALL
}

expect() { # wanted command…
    local wanted=$1 got
    shift
    got=$(timeout 30 "$@" 2>&1) || true
    [[ $got == "$wanted" ]] || fail "$*: got '$got', wanted '$wanted'"
}

# A node that comes back with nothing: seconds until it has as many keys as the others, and until it
# answers reads of all of them; at rest, or while 8 connections write all over.
refill() { # node keys [load]
    local node=$1 keys=$2 load='' begun sent bytes filled
    load_keys "$keys"
    kill_node "$node"
    rm -rf "$work/node-$node"
    mkdir "$work/node-$node"
    sent=$(counter exchanged_keys) bytes=$(counter exchange_bytes)
    begun=$(date +%s%N)
    start_node "$node"
    nodes[node - 1]=$pid
    if [[ ${3:-} ]]; then
        redis-benchmark -p $((base + node % 3)) -c 8 -n 100000000 -r 1000000 -d 100 -t set -q \
            >/dev/null 2>&1 &
        load=$!
    fi
    await_keys "$keys"
    filled=$(($(date +%s%N) - begun))
    await_whole "$node"
    [[ -z $load ]] || kill "$load"
    awk -v node="$node" -v keys="$keys" -v ns="$filled" -v whole=$(($(date +%s%N) - begun)) \
        -v sent=$(($(counter exchanged_keys) - sent)) -v bytes=$(($(counter exchange_bytes) - bytes)) '
        BEGIN {
            printf "node %d back empty: %d keys after %.1f s, whole after %.1f s, %d sent, %d bytes a key\n",
                node, keys, ns / 1e9, whole / 1e9, sent, bytes / keys
        }'
    expect OK redis-cli -p "$base" FLUSHALL
}

need redis-cli
need_release
free_ports 3
node_settings=', faults: true'
start_cluster 3 'r: 1, w: 1, durability: "memory", readrepair: 0'
printf '%9s %9s %8s %10s %11s %9s %8s\n' keys dirty seconds 'keys sent' bytes 'bytes/key' repairs
measure 100000 1000 "$cut_seconds"
for dirty in 10 100 10000; do measure 100000 $dirty 3; done
measure 10000 1000 3
measure 1000000 1000 3
refill 1 300000
refill 3 300000
refill 3 300000 load
