#!/usr/bin/env bash
# Nothing acknowledged is lost: three nodes with durability fsync take writes, all are killed with
# SIGKILL in the middle of more, start again, and every acknowledged write is read back.
#
#     bench/recovery.sh [KEYS]      100,000 by default
#
# Prints what the nodes' logs say about recovery. Three nodes that start at once share the cores, so
# one of them starts a second time alone; a core that reads, checks and merges limits it, not the disk.
source "$(dirname "$0")/servers.sh"

keys=${1:-100000}
value_bytes=${VALUE_BYTES:-500}
connections=256
acks=$work/acks

# Kills the nodes as soon as so many writes are acknowledged, with more under way.
load_and_kill() {
    : >"$acks"
    "$load" set $connections $((keys + keys / 5)) "$value_bytes" "$acks" "$@" >"$work/load.out" \
        2>"$work/load.errors" &
    local generator=$! lines=0
    started+=("$generator")
    until lines=$(wc -l <"$acks") && ((lines >= keys)); do
        kill -0 $generator 2>/dev/null || break
        ((SECONDS < 300)) || fail "$lines of $keys writes acknowledged after 300 s"
        sleep 0.05
    done
    kill -KILL "${nodes[@]}"
    wait $generator "${nodes[@]}" 2>/dev/null || true
    started=()
    lines=$(wc -l <"$acks")
    ((lines >= keys)) || fail "only $lines writes were acknowledged: $(cat "$work/load.errors")"
}

restart() {
    local node
    for node in 1 2 3; do
        : >"$work/node-$node.log"
        start_node $node
        nodes[node - 1]=$pid
    done
    for node in 1 2 3; do await_ping $((base + node - 1)) "$work/node-$node.log"; done
    for node in 1 2 3; do await_write $((base + node - 1)); done
}

need redis-cli
need_release
build_load
free_ports 3
start_cluster 3 'r: "quorum", w: "quorum", durability: "fsync"'
ports=("$base" $((base + 1)) $((base + 2)))
load_and_kill "${ports[@]}"
say "$(wc -l <"$acks") writes of $value_bytes bytes acknowledged before the kill; $(cat "$work/load.out")"
bytes=$(du -sb "$work/node-1" | cut -f1)
begun=$(date +%s%N)
restart
say "three nodes answer again after $((($(date +%s%N) - begun) / 1000000)) ms," \
    "$((bytes / 1000000)) MB in each data directory"
for node in 1 2 3; do
    grep -i 'recover' "$work/node-$node.log" | sed "s/^/node $node: /" ||
        say "node $node: its log says nothing about recovery"
done
if timeout 120 "$load" verify 64 1 "$value_bytes" "$acks" "${ports[@]}" >"$work/verify.out"; then
    say "every acknowledged write is there: $(cat "$work/verify.out")"
else
    fail "acknowledged writes are lost: $(cat "$work/verify.out")"
fi
kill -KILL "${nodes[0]}"
wait "${nodes[0]}" 2>/dev/null || true
: >"$work/node-1.log"
start_node 1
await_ping "$base" "$work/node-1.log"
grep -i 'recover' "$work/node-1.log" | sed "s/^/node 1 alone: /"
