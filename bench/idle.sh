#!/usr/bin/env bash
# An idle node costs nothing: clusters of 1, 3 and 5 nodes that nobody asks for anything. Counts how often
# each node's loop turned.
#
#     bench/idle.sh [--seconds N] [--nodes "1 3 5"]      10 seconds each by default
#
# Fails when a node turns more than 100 times a second. With `--cpu` it also fails when a node uses
# more than 0.5 % of a core; on a busy machine that figure is unreliable, the count of turns is not.
source "$(dirname "$0")/servers.sh"

seconds=10
sizes='1 3 5'
turns_max=100
checks_cpu=no
while (($# > 0)); do
    case $1 in
        --seconds) seconds=$2; shift 2 ;;
        --nodes) sizes=$2; shift 2 ;;
        --cpu) checks_cpu=yes; shift ;;
        *) fail "unknown option $1" ;;
    esac
done

# Each turn of a loop ends in one wait for events. Lets each node rest and compares its figures with those before.
watch_nodes() { # title
    local node turned cpu share
    local -a turns_before cpu_before
    for ((node = 1; node <= ${#nodes[@]}; node++)); do
        turns_before[node]=$(metric "$node" turns_total)
        cpu_before[node]=$(cpu_micros "${nodes[node - 1]}")
    done
    sleep "$seconds"
    for ((node = 1; node <= ${#nodes[@]}; node++)); do
        kill -0 "${nodes[node - 1]}" 2>/dev/null || fail "$1: node $node has ended"
        turned=$((($(metric "$node" turns_total) - turns_before[node]) / seconds))
        cpu=$(($(cpu_micros "${nodes[node - 1]}") - cpu_before[node]))
        share=$((cpu / seconds / 100))
        say "$1, node $node: $turned turns a second," \
            "$((share / 100)).$(printf '%02d' $((share % 100))) % of a core"
        ((turned <= turns_max)) || fail "$1: node $node turns $turned times a second when idle"
        if [[ $checks_cpu == yes ]]; then
            ((share <= 50)) || fail "$1: node $node uses more than 0.5 % of a core when idle"
        fi
    done
}

idle_clusters() {
    local size
    for size in $sizes; do
        free_ports 5
        start_watched "$size" 'durability: "fsync"'
        # What a start brings is over: links, members, ranges that new nodes wait for.
        sleep 2
        watch_nodes "$size of $size nodes"
        stop_all
        rm -rf "$work"/node-*
    done
}

# Idle with one of three nodes away: the others call it again and again, and keep what it misses.
idle_without_one() {
    free_ports 5
    start_watched 3 'r: 1, w: 1'
    kill_node 3
    redis-cli -p "$base" SET missed 1 >/dev/null
    sleep 2
    unset 'nodes[2]'
    watch_nodes "2 of 3 nodes"
    stop_all
    rm -rf "$work"/node-*
}

need redis-cli awk
need_release
idle_clusters
idle_without_one
