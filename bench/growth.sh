#!/usr/bin/env bash
# What has a bound stays below it: memory and disk of nodes that take a great many small writes which
# leave little behind. Each case prints both and fails when one passes its bound.
#
#     bench/growth.sh [--writes N] [--deltas N] [--away N] [--ttl N]
#
#     --writes  of one key, over one connection, each in a batch of its own (1,000,000)
#     --deltas  HINCRBY of one field of a crdt keyspace (300,000)
#     --away    of one key while one of three nodes is away, under sloppy=on (300,000)
#     --ttl     of different keys that expire after two seconds (300,000)
#
# 0 leaves a case out. The journal's bound is 256 MiB behind the last checkpoint, and three times the
# state; with the segment that is being filled, the one ahead and what comes during a checkpoint, a
# directory has to stay below 512 MiB.
source "$(dirname "$0")/servers.sh"

writes=1000000
deltas=300000
away=300000
ttl=300000
disk_max=$((512 << 20))
while (($# > 0)); do
    case $1 in
        --writes | --deltas | --away | --ttl)
            [[ ${2:-} =~ ^[0-9]+$ ]] || fail "$1 needs a number"
            printf -v "${1#--}" '%s' "$2"
            shift 2
            ;;
        *) fail "unknown option $1" ;;
    esac
done

resident() { # pid
    awk '/^VmRSS/ { print $2 * 1024 }' "/proc/$1/status"
}

# What the files of a data directory take up, not how long they are.
on_disk() { # node
    du -s --block-size=1 "$work/node-$1" | cut -f1
}

# COUNT commands over one connection, one at a time, so that each write is a batch of its own. Prints the largest size of the directory meanwhile.
drive() { # node count command…
    local node=$1 count=$2 peak=0 size generator
    shift 2
    redis-benchmark -p $((base + node - 1)) -c 1 -P 1 -n "$count" -r "$count" -q "$@" \
        >"$work/drive.out" 2>&1 &
    generator=$!
    started+=("$generator")
    while kill -0 "$generator" 2>/dev/null; do
        size=$(on_disk "$node")
        if ((size > peak)); then peak=$size; fi
        ((size <= disk_max)) || fail "node $node takes $size bytes of disk: $*"
        sleep 0.5
    done
    wait "$generator" || fail "$*: $(tr '\r' '\n' <"$work/drive.out" | tail -n 2)"
    unset 'started[-1]'
    if grep -qi 'error' "$work/drive.out"; then
        fail "$*: $(tr '\r' '\n' <"$work/drive.out" | grep -i error | head -n 1)"
    fi
    size=$(on_disk "$node")
    say $((size > peak ? size : peak))
}

# Runs one case and holds it to its bounds.
grow() { # title node count memory-max-MiB command…
    local title=$1 node=$2 count=$3 memory_max=$(($4 << 20)) before after peak
    shift 4
    drive "$node" 2000 "$@" >/dev/null
    before=$(resident "${nodes[node - 1]}")
    peak=$(drive "$node" "$count" "$@")
    after=$(resident "${nodes[node - 1]}")
    say "$title: $count writes, disk at most $((peak >> 20)) MiB and $(($(on_disk "$node") >> 20))" \
        "at the end, memory from $((before >> 20)) to $((after >> 20)) MiB," \
        "$(metric "$node" journal_disk_bytes_total) bytes of journal"
    ((after - before <= memory_max)) ||
        fail "$title: memory grew by $(((after - before) >> 20)) MiB, more than $4"
}

end_case() {
    stop_all
    rm -rf "$work"/node-*
}

need redis-cli redis-benchmark awk
need_release
if ((writes > 0)); then
    free_ports 3
    start_watched 1 'timeout: 60000, durability: "fsync"'
    grow "one key" 1 "$writes" 32 SET onlykey 1
    # All of it is read back, in bounded time, after the process was killed.
    redis-cli -p "$base" SET onlykey last >/dev/null
    kill_node 1
    return_node 1
    [[ $(redis-cli -p "$base" GET onlykey) == last ]] || fail "the last write is not there"
    grep -o 'recovered .*' "$work/node-1.log" | tail -n 1
    end_case
fi
if ((deltas > 0)); then
    free_ports 3
    start_watched 1 'timeout: 60000, conflict: "crdt", durability: "fsync"'
    grow "typed deltas" 1 "$deltas" 32 HINCRBY hash field 1
    end_case
fi
if ((away > 0)); then
    free_ports 3
    start_watched 3 'timeout: 60000, r: 1, w: 1, sloppy: "on", durability: "interval(50)"'
    kill_node 3
    grow "a replica away" 1 "$away" 64 SET onlykey 1
    end_case
fi
if ((ttl > 0)); then
    free_ports 3
    start_watched 1 'timeout: 60000, durability: "interval(50)"'
    # A key of its own for each write: what two seconds leave, and the tables for it.
    grow "expiring keys" 1 "$ttl" 256 SET ttl:__rand_int__ value EX 2
    end_case
fi
