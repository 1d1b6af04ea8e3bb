#!/usr/bin/env bash
# bench/differential.py against one node; three nodes with a replica of each key on one, so that the
# others forward; three nodes with replicas on all; and those with one cut off now and then. Commands
# of thousands of elements as well.
#
#     bench/differential.sh [SEQUENCES] [SEED]      300 sequences from seed 1 by default
source "$(dirname "$0")/servers.sh"

sequences=${1:-300}
seed=${2:-1}

compare() { # redis-port ports… options…
    timeout 1200 python3 "$repository/bench/differential.py" "$@" --sequences "$sequences" \
        --seed "$seed" || fail "replies differ"
}

need redis-server redis-cli python3
need_release
free_ports 5
start_redis $((base + 4))
redis=$((base + 4))
port=$base
start_cluster 1 'r: 1, w: 1, durability: "memory", conflict: "crdt"'
say "one node"
compare "$redis" "$port"
compare "$redis" "$port" --large --commands 20
kill -TERM "${nodes[0]}"
wait "${nodes[0]}" || true
rm -rf "$work/node-1"
node_settings=', faults: true'
start_cluster 3 'r: 2, w: 2, durability: "memory", conflict: "crdt"'
say "three nodes, each key on one"
redis-cli -p "$port" KEYSPACE CREATE c n=1 r=1 w=1 conflict=crdt durability=memory
compare "$redis" "$port" $((port + 1)) $((port + 2))
compare "$redis" "$port" $((port + 1)) $((port + 2)) --large --commands 20
redis-cli -p "$port" KEYSPACE DROP c
say "three nodes, R=2 W=2"
compare "$redis" "$port" $((port + 1)) $((port + 2))
compare "$redis" "$port" $((port + 1)) $((port + 2)) --large --commands 20
say "three nodes, one of them cut off now and then"
compare "$redis" "$port" $((port + 1)) $((port + 2)) --cuts
