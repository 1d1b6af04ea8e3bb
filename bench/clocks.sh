#!/usr/bin/env bash
# Wrong wall clocks on real processes: what was acknowledged stays, and service goes on.
#
#     bench/clocks.sh
#
# Three nodes, n=3 r=w=quorum, each with a wall clock of its own (`clock.c` is preloaded and steps
# CLOCK_REALTIME). All clocks step ahead together, 15 s and an hour, keys of every kind are written, and all
# are set right. One node starts an hour ahead, alone, writes with W 1, meets the others, which write
# later, and is set right. One node is a day ahead while keys have two hours to live, stepped and
# from its start on. Each time every kind of keyspace has to take reads and writes on every node a
# second after.
source "$(dirname "$0")/servers.sh"

need redis-cli cc
need_release
cc -O2 -shared -fPIC -o "$work/clock.so" "$repository/bench/clock.c"

at() { local node=$1; shift; redis-cli -p $((base + node - 1)) "$@"; }
set_clock() { # node seconds
    echo "$2" >"$work/clock-$1.new"
    mv "$work/clock-$1.new" "$work/clock-$1"
}
set_clocks() { local node; for node in 1 2 3; do set_clock $node "$1"; done; }

launch() { # node
    start_node "$1" env LD_PRELOAD="$work/clock.so" CLOCK_FILE="$work/clock-$1"
    nodes[$1 - 1]=$pid
}

expect() { # what wanted got
    [[ $3 == "$2" ]] || fail "$1: \"$3\", not \"$2\""
}

# Every node writes and reads every kind of keyspace.
serves() { # what
    local node key
    for node in 1 2 3; do
        for key in l:k s:k t:k one:k; do
            expect "$1, SET $key at node $node" OK "$(at $node SET $key "$1-$node")"
            expect "$1, GET $key" "$1-$node" "$(at $((node % 3 + 1)) GET $key)"
        done
        expect "$1, SADD at node $node" 1 "$(at $node SADD t:set "$1-$node")"
        expect "$1, values of s:k" 2 "$(at $node QGET s:k R ALL | wc -l)"
    done
}

free_ports 3
nodes=()
set_clocks 0
for node in 1 2 3; do
    configure_node $node 3 'r: "quorum", w: "quorum", durability: "fsync"'
    launch $node
done
for node in 1 2 3; do await_write $((base + node - 1)); await_whole $node; done
for keyspace in l "s conflict=siblings" "t conflict=crdt" "one n=1"; do
    expect "KEYSPACE CREATE $keyspace" OK "$(at 1 KEYSPACE CREATE $keyspace durability=fsync)"
done
serves before

for step in 15 3600; do
    set_clocks $step
    sleep 1
    serves "ahead$step"
    set_clocks 0
    sleep 1
    serves "right$step"
    for node in 1 2 3; do
        expect "members of t:set" $((step == 15 ? 9 : 15)) "$(at $node SCARD t:set)"
    done
    say "all clocks $step s ahead and back: every kind of keyspace serves after 1 s, nothing doubled"
done

# A life that begins alone, an hour ahead.
kill_node 1
kill -STOP "${nodes[1]}" "${nodes[2]}"
set_clock 1 3600
launch 1
await_ping "$base" "$work/node-1.log"
for key in alone kept; do
    expect "SET l:$key alone" OK "$(at 1 SET l:$key first W 1)"
    expect "QSET s:$key alone" OK "$(at 1 QSET s:$key first W 1)"
done
kill -CONT "${nodes[1]}" "${nodes[2]}"
for node in 1 2 3; do await_whole $node; done
sleep 1
expect "SET l:alone later" OK "$(at 2 SET l:alone later)"
expect "SET s:alone later" OK "$(at 2 SET s:alone later)"
set_clock 1 0
sleep 2
for node in 1 2 3; do
    expect "l:alone" later "$(at $node GET l:alone R ALL)"
    expect "l:kept" first "$(at $node GET l:kept R ALL)"
    expect "s:kept" first "$(at $node GET s:kept R ALL)"
    expect "s:alone" 1 "$(at $node QGET s:alone R ALL | grep -c later)"
done
serves metagain
say "a life alone an hour ahead: what it wrote stays, what others wrote later wins"

# A day ahead, with keys that have two hours to live.
for key in l:ttl s:ttl t:ttl; do expect "SET $key" OK "$(at 2 SET $key v EX 7200)"; done
for how in stepped started; do
    set_clock 1 86400
    if [[ $how == started ]]; then
        kill_node 1
        launch 1
        await_ping "$base" "$work/node-1.log"
        await_whole 1
    fi
    for level in 1 2 3; do
        for key in l:ttl s:ttl t:ttl; do
            expect "$how a day ahead, GET $key R $level" v "$(at 1 GET $key R $level)"
        done
    done
    serves "day$how"
    at 1 INFO clock | grep -q '^clock_wall_ahead_ms:86[34]' ||
        fail "INFO clock of node 1: $(at 1 INFO clock)"
    at 2 INFO clock | grep -q 'clock of node 1 is 86[34]' ||
        fail "INFO clock of node 2: $(at 2 INFO clock)"
done
set_clock 1 0
sleep 1
serves last
grep -h 'clocks:' "$work"/node-*.log | cut -c1-160 | sort | uniq | tail -4
say "one clock a day ahead, stepped or from its start: no key is absent, the log names it"
