#!/usr/bin/env bash
# redis-cli and redis-benchmark, unchanged, against a running node.
#
#     bench/clients.sh HOST PORT
#
# It empties the whole cluster (FLUSHALL), twice: point it at a scratch cluster.
#
# Prints one line for each check and exits 1 when one fails.
set -euo pipefail

# `--help` tells what stands at the script's head.
if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    awk 'NR > 1 && !/^#/ { exit } NR > 1 { sub(/^# ?/, ""); print }' "$0"
    exit 0
fi

host=${1:?usage: bench/clients.sh HOST PORT}
port=${2:?usage: bench/clients.sh HOST PORT}
failures=0
echo "bench/clients.sh empties every keyspace of the cluster at $host:$port"

cli() { timeout 20 redis-cli -h "$host" -p "$port" "$@"; }

check() { # name wanted command…
    local name=$1 wanted=$2 got
    shift 2
    if got=$("$@" 2>&1) && [[ $got == "$wanted" ]]; then
        echo "ok      $name"
    else
        echo "FAILED  $name: got '$got', wanted '$wanted'"
        failures=$((failures + 1))
    fi
}

benchmark() { # redis-benchmark options…
    local out rate
    if out=$(timeout 120 redis-benchmark -h "$host" -p "$port" -q --csv "$@" 2>&1) &&
        ! grep -qi 'error\|warning' <<<"$out"; then
        rate=$(tail -n 1 <<<"$out" | tr -d '"' | cut -d, -f2)
        echo "ok      redis-benchmark $*: $rate requests/s"
    else
        echo "FAILED  redis-benchmark $*: $out"
        failures=$((failures + 1))
    fi
}

mass_insert() { # 10,000 commands through --pipe, as Redis's manual describes
    local i
    for ((i = 0; i < 10000; i++)); do printf 'SET clients-sh:%d %d\r\n' $i $i; done |
        cli --pipe | tail -n 1
}

for protocol in -2 -3; do
    check "redis-cli $protocol PING" PONG cli $protocol PING
    check "redis-cli $protocol SET" OK cli $protocol SET clients-sh:a 'a "b" c'
    check "redis-cli $protocol GET" 'a "b" c' cli $protocol GET clients-sh:a
    check "redis-cli $protocol MSET" OK cli $protocol MSET '{clients-sh}b' 1 '{clients-sh}c' 2
    check "redis-cli $protocol MGET" $'1\n2' cli $protocol MGET '{clients-sh}b' '{clients-sh}c'
    check "redis-cli $protocol missing key" '' cli $protocol GET clients-sh:missing
done
check "redis-cli -x" OK cli -x SET clients-sh:x <<<'from standard input'
check "redis-cli -c" 'a "b" c' cli -c GET clients-sh:a
check "redis-cli --pipe" 'errors: 0, replies: 10000' mass_insert
check "redis-cli --scan" 10000 bash -c \
    "timeout 60 redis-cli -h '$host' -p '$port' --scan --pattern 'clients-sh:[0-9]*' | wc -l"
for protocol in '' -3; do
    # shellcheck disable=SC2086  # an empty protocol is no argument
    {
        benchmark $protocol -t ping_mbulk -n 100000
        benchmark $protocol -t set -n 100000 -r 10000 -d 100
        benchmark $protocol -t get -n 100000 -r 10000
        benchmark $protocol -t set -n 400000 -r 10000 -d 100 -P 16
        benchmark $protocol -t get -n 400000 -r 10000 -P 16
        benchmark $protocol -t mset -n 50000 -r 10000 -P 16
    }
done
# Keys of these stand in no keyspace of their own; only an empty one changes to typed values and back.
check "FLUSHALL" OK cli FLUSHALL
check "KEYSPACE ALTER default conflict=crdt" OK cli KEYSPACE ALTER default conflict=crdt
for test in incr lpush rpush lpop rpop sadd hset spop zadd zpopmin; do
    check "redis-cli DEL" '' bash -c "redis-cli -h '$host' -p '$port' DEL mylist >/dev/null"
    benchmark -t $test -n 20000 -r 1000 -P 16
done
check "FLUSHALL" OK cli FLUSHALL
check "KEYSPACE ALTER default conflict=lww" OK cli KEYSPACE ALTER default conflict=lww
if ((failures > 0)); then
    echo "$failures checks failed"
    exit 1
fi
echo "all checks passed"
