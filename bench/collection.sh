#!/usr/bin/env bash
# Tombstone collection on real processes: deletes stay deleted, and are forgotten in the end.
#
#     bench/collection.sh [KEYS]     20,000 by default; takes about four minutes
#
# Three nodes, n=3. KEYS are written and deleted: how long until no node keeps a tombstone, and what
# the nodes told each other meanwhile. The same while one node is down: it is named, nothing goes;
# then it comes back. At last two replicas that have forgotten what a third still has: one returns
# from a copy of its disk from before the deletion, one was forgotten (CLUSTER FORGET) and is
# admitted again. Neither may bring a key back.
#
# Seen on two shared cores, 20,000 keys: no tombstone is left 31 s after the last deletion, 19 s after
# the return of a node that was away; exchanges took 70 KB meanwhile; of 20,001 records of the old disk
# and of the node that was forgotten none came back.
source "$(dirname "$0")/servers.sh"

keys=${1:-20000}

write_keys() { # port prefix
    awk -v n="$keys" -v p="$2" 'BEGIN { for (i = 0; i < n; i++) printf "SET %s%d %096d\r\n", p, i, i }' |
        pipe "$1"
}

delete_keys() { # port prefix
    awk -v n="$keys" -v p="$2" 'BEGIN { for (i = 0; i < n; i++) printf "DEL %s%d\r\n", p, i }' | pipe "$1"
}

await_records() { # count what
    local begun
    begun=$(date +%s%N)
    until (($(sum records) == $1)); do
        (($(date +%s%N) - begun < 120000000000)) || fail "$2: $(sum records) records after 120 s, not $1"
        sleep 0.2
    done
    awk -v what="$2" -v begun="$begun" -v now="$(date +%s%N)" \
        'BEGIN { printf "%s: no tombstone is left after %.1f s\n", what, (now - begun) / 1e9 }'
}

# No node has a key, also when it is the only one that is asked.
await_absence() { # prefix what
    local node left
    for ((node = 1; node <= 3; node++)); do
        left=$(awk -v n="$keys" -v p="$1" 'BEGIN { for (i = 0; i < n; i++) print "EXISTS " p i " R 1" }' |
            redis-cli -p $((base + node - 1)) | grep -c '^1' || true)
        ((left == 0)) || fail "$2: node $node has $left keys again"
    done
}

need redis-cli awk
need_release
count=3
free_ports 3
start_cluster 3 'r: "quorum", w: "quorum", durability: "fsync", readrepair: 0'
for node in 1 2 3; do await_whole $node; done

write_keys "$base" a
bytes=$(sum exchange_bytes)
delete_keys "$base" a
await_records 3 "$keys deleted keys"
say "    exchanges $(($(sum exchange_bytes) - bytes)) bytes meanwhile," \
    "$(sum tombstones_collected) tombstones collected on three nodes"

write_keys "$base" b
kill_node 3
delete_keys "$base" b
sleep 50
(($(sum records) >= 2 * keys)) || fail "tombstones were collected while a replica was away"
say "one replica away: $(sum records) records after 50 s," \
    "waiting for node $(field tombstones_wait_for 1)"
return_node 3
await_records 3 "and back"
await_absence b "a node that was away"

write_keys "$base" c
sleep 15
kill_node 3
cp -r "$work/node-3" "$work/copy"
return_node 3
await_whole 3
delete_keys "$base" c
await_records 3 "before the old disk"
kill_node 3
rm -rf "$work/node-3"
mv "$work/copy" "$work/node-3"
return_node 3
await_whole 3
await_absence c "an old disk"
say "an old disk: $(field dropped_behind 3) records dropped, none came back"

write_keys "$base" d
sleep 15
kill_node 3
order "$base" CLUSTER FORGET 3
delete_keys "$base" d
await_records 2 "one replica forgotten"
order "$base" CLUSTER READMIT 3
sleep 2
return_node 3
await_whole 3
await_absence d "a node that was forgotten"
say "admitted again: $(field dropped_behind 3) records dropped, none came back"
