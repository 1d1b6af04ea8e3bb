#!/usr/bin/env bash
# Nothing acknowledged is lost: three nodes with durability fsync take writes, all are killed with
# SIGKILL in the middle of more, start again, and every acknowledged write is read back.
#
#     bench/recovery.sh [KEYS [TYPED_KEYS]]      100,000 and 1,000,000 by default
#
# Prints what the nodes' logs say about recovery. Three nodes that start at once share the cores, so
# one of them starts a second time alone; a core that reads, checks and merges limits it, not the disk.
# Then one node alone starts on TYPED_KEYS plain strings, on as many typed values of six types, and
# on as many that expire: from the journal that one command a key has written, and an EXPIRE, and
# behind a checkpoint, which takes at least 50,000 keys.
source "$(dirname "$0")/servers.sh"

keys=${1:-100000}
typed_keys=${2:-1000000}
((typed_keys >= 50000)) || fail "TYPED_KEYS is $typed_keys: fewer than 50,000 bring no checkpoint about"
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

# One node alone, with what a keyspace of typed values is made of in practice, beside plain strings.
commands() { # kinds keys [seconds to live]
    awk -v kinds="$1" -v keys="$2" -v seconds="${3:-}" '
    function words(command, head, count, i, j, line) {
        line = command
        for (j = 0; j < count; j++) {
            if (head == "score") line = line " " (i * 31 + j * 17) % 10007
            if (head == "field") line = line " field" j
            line = line (head == "field" || head == "" ? " " substr(text, 1 + j % 60, 16 + i % 16) \
                : " member-" (i * 7 + j * 13) % 1000003)
        }
        print line
    }
    BEGIN {
        for (i = 0; i < 7; i++) text = text sprintf("%015d", 123456789 + i * 7654321)
        count = split(kinds, kind, " ")
        for (i = 0; i < keys; i++) {
            name = kind[i % count + 1]
            key = " " name ":" i
            if (name == "counter") print "INCR" key
            else if (name == "set") words("SADD" key, "member", 6, i)
            else if (name == "hash") words("HSET" key, "field", i % 50 == 0 ? 100 : 5, i)
            else if (name == "sorted") words("ZADD" key, "score", 5, i)
            else if (name == "list") words("RPUSH" key, "", 5, i)
            else print "SET" key " " substr(text, 1 + i % 5, 100) (seconds ? " EX " seconds : "")
            if (seconds && name != "string") print "EXPIRE" key " " seconds
        }
    }'
}

restart_alone() { # what
    local bytes micros tries
    kill_node 1
    : >"$work/node-1.log"
    start_node 1
    nodes[0]=$pid
    for ((tries = 0; tries < 600; tries++)); do
        if grep -q recovered "$work/node-1.log"; then break; fi
        sleep 0.1
    done
    await_ping "$base" "$work/node-1.log"
    micros=$(cpu_micros "${nodes[0]}")
    bytes=$(sed -n 's/.*recovered.* from \([0-9]*\) bytes.*/\1/p' "$work/node-1.log")
    say "$1: $(grep -o 'recovered.*' "$work/node-1.log"); $((micros / 1000)) ms of CPU for the" \
        "whole start, $((bytes / micros)) MB for each second of it"
}

# From the journal of a first pass, then behind a checkpoint, which further passes bring about.
case_alone() { # name conflict kinds [seconds to live]
    local pass
    stop_all
    rm -rf "$work/node-1"
    free_ports 1
    start_cluster 1 "conflict: \"$2\", durability: \"interval(200)\""
    commands "$3" "$typed_keys" "${4:-}" | pipe "$base"
    sleep 1
    restart_alone "$1, journal"
    for ((pass = 0; pass < 40; pass++)); do
        # Whatever is OVERLOADED where the disk is slower: nobody asks for these afterwards.
        commands "$3" "$typed_keys" "${4:-}" | redis-cli -p "$base" --pipe >"$work/pipe.out" 2>&1 || true
        if compgen -G "$work/node-1/checkpoint-*" >/dev/null; then break; fi
    done
    sleep 2
    compgen -G "$work/node-1/checkpoint-*" >/dev/null || fail "no checkpoint was written"
    restart_alone "$1, checkpoint"
}

case_alone plain lww 'string'
case_alone typed crdt 'counter string set hash sorted list'
case_alone expiring crdt 'counter string set hash sorted list' 86400
stop_all
