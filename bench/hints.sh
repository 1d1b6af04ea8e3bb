#!/usr/bin/env bash
# Sloppy quorums and hinted handoff on real processes.
#
#     bench/hints.sh [KEYS]     10,000 by default
#
# Four nodes, n=3 r=2 w=2 sloppy=on: two are killed (SIGKILL), KEYS writes through a third go on without an
# error, that third is killed too and comes back, then the two. Printed: hints that wait, seconds from the
# return until none does and every replica has every key, and keys and bytes by mechanism.
# Then five nodes, two of them cut off silently: writes through one of the two, healed, read from all replicas.
#
# Seen on two shared cores:
#   two of four killed: 8896 hints; handed off after 2.0 s, all equal after 5.4 s (start and reading included);
#     by hints 1.4 MB, by exchanges 10875 keys, 4.4 MB (keys of which both were replicas), by read repair none
#   two of five cut off: 15356 hints; handed off after 0.4 s, all equal after 7.4 s (reading included)
source "$(dirname "$0")/servers.sh"

keys=${1:-10000}

write_keys() { # port count text
    awk -v n="$2" -v text="$3" 'BEGIN {
        for (i = 0; i < n; i++) printf "SET s:%d %s%096d\r\n", i, text, i
    }' | pipe "$1"
}

# How many keys all replicas agree to have in their new state.
fresh() { # port count text
    awk -v n="$2" 'BEGIN { for (i = 0; i < n; i++) print "GET s:" i " R 1" }' |
        redis-cli -p "$1" | grep -c "^$3" || true
}

# Until no node keeps a hint and every node, which asks itself where it is a replica, reads every key.
await_convergence() { # since keys text
    local node got
    while (($(sum hints) > 0)); do
        (($(date +%s%N) - $1 < 60000000000)) || fail "$(sum hints) hints after 60 s"
        sleep 0.05
    done
    handed=$(($(date +%s%N) - $1))
    for ((node = 1; node <= count; node++)); do
        until got=$(fresh $((base + node - 1)) "$2" "$3") && ((got == $2)); do
            (($(date +%s%N) - $1 < 90000000000)) || fail "node $node reads $got of $2 keys"
            sleep 0.1
        done
    done
    converged=$(($(date +%s%N) - $1))
}

report() { # what hints bytes
    awk -v what="$1" -v hints="$2" -v bytes="$3" -v handed=$handed -v converged=$converged \
        -v sent="$(sum hints_handed_off)" -v sentBytes="$(sum hand_off_bytes)" \
        -v exchanged="$(sum exchanged_keys)" -v exchangeBytes="$(sum exchange_bytes)" \
        -v repairs="$(sum read_repairs)" 'BEGIN {
            printf "%s: %d hints, %d bytes; handed off after %.1f s, all equal after %.1f s\n",
                what, hints, bytes, handed / 1e9, converged / 1e9
            printf "    by hints %d keys, %d bytes; by exchanges %d keys, %d bytes; read repairs %d\n",
                sent, sentBytes, exchanged, exchangeBytes, repairs
        }'
}

create() {
    order "$base" KEYSPACE CREATE s n=3 r=2 w=2 sloppy=on readrepair=0
}

killed() {
    local hints bytes begun before
    count=4
    free_ports 4
    start_cluster 4 'r: "quorum", w: "quorum", durability: "fsync"'
    create
    write_keys "$base" "$keys" old
    kill_node 3
    kill_node 4
    write_keys "$base" "$keys" new
    hints=$(sum hints) bytes=$(sum hint_bytes)
    before=$(field hints 2)
    kill_node 2
    return_node 2
    [[ $(field hints 2) == "$before" ]] || fail "of $before hints $(field hints 2) survived SIGKILL"
    begun=$(date +%s%N)
    return_node 3
    return_node 4
    await_convergence "$begun" "$keys" new
    report "two of four killed" "$hints" "$bytes"
    stop_all
    rm -rf "$work"/node-*
}

cut_off() {
    local hints bytes node other
    count=5
    free_ports 5
    node_settings=', faults: true'
    start_cluster 5 'r: "quorum", w: "quorum", durability: "fsync"'
    create
    write_keys "$base" "$keys" old
    for node in 1 2 3; do
        for other in 4 5; do
            redis-cli -p $((base + node - 1)) DEBUG CUT $other 60000 >/dev/null
            redis-cli -p $((base + other - 1)) DEBUG CUT $node 60000 >/dev/null
        done
    done
    sleep 1.5
    write_keys $((base + 4)) "$keys" new
    hints=$(sum hints) bytes=$(sum hint_bytes)
    for node in 1 2 3 4 5; do redis-cli -p $((base + node - 1)) DEBUG HEAL >/dev/null; done
    await_convergence "$(date +%s%N)" "$keys" new
    report "two of five cut off" "$hints" "$bytes"
}

need redis-cli
need_release
killed
cut_off
