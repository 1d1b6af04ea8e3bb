# Sourced by the benchmarks and .ci/run: servers on free loopback ports, stopped by process id.

set -euo pipefail

# `--help` tells what stands at the script's head.
if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    awk 'NR > 1 && !/^#/ { exit } NR > 1 { sub(/^# ?/, ""); print }' "$0"
    exit 0
fi

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
quorate=${QUORATE:-$repository/.build/release/quorate}
work=$(mktemp -d "${TMPDIR:-/tmp}/quorate-bench.XXXXXX")
started=()

say() { printf '%s\n' "$*"; }
fail() { say "failed: $*" >&2; exit 1; }

# Stops what `start` started: gently first, for good after two seconds.
stop_all() {
    local pid deadline=$((SECONDS + 2))
    for pid in "${started[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
    for pid in "${started[@]}"; do
        while kill -0 "$pid" 2>/dev/null && ((SECONDS < deadline)); do sleep 0.05; done
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    started=()
}

# A script that starts more than `start` knows of defines `stop_more`.
cleanup() {
    local code=$?
    if declare -F stop_more >/dev/null; then stop_more; fi
    stop_all
    if ((code == 0)); then rm -rf "$work"; else say "logs are in $work" >&2; fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM

need() {
    local tool
    for tool in "$@"; do
        command -v "$tool" >/dev/null || fail "$tool is not installed"
    done
}

need_release() {
    [[ -x $quorate ]] || fail "no $quorate; run: swift build -c release --product quorate"
}

listening() { # port
    local hex
    hex=$(printf ':%04X' "$1")
    awk -v end="$hex" '$4 == "0A" && substr($2, length($2) - 4) == end { found = 1 }
        END { exit !found }' /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

# Sets `base` so that base..base+COUNT-1 and the same ports 10,000 higher are free.
free_ports() { # count
    local port
    while :; do
        base=$((15000 + RANDOM % 7000))
        for ((port = base; port < base + $1; port++)); do
            if listening "$port" || listening $((port + 10000)); then continue 2; fi
        done
        return
    done
}

# The process that listens on a port; nothing when there is none.
pid_of_port() { # port
    local hex inode fd
    hex=$(printf ':%04X' "$1")
    inode=$(awk -v end="$hex" '$4 == "0A" && substr($2, length($2) - 4) == end { print $10; exit }' \
        /proc/net/tcp /proc/net/tcp6 2>/dev/null)
    [[ -n $inode ]] || return 0
    for fd in /proc/[0-9]*/fd/*; do
        if [[ $(readlink "$fd" 2>/dev/null) == "socket:[$inode]" ]]; then
            fd=${fd#/proc/}
            say "${fd%%/*}"
            return
        fi
    done
}

# Starts a command in the background with its output in a log; `pid` is its process.
start() { # name command…
    local log=$work/$1.log
    shift
    "$@" >>"$log" 2>&1 &
    pid=$!
    started+=("$pid")
}

await_ping() { # port log
    local tries
    for ((tries = 0; tries < 200; tries++)); do
        if [[ $(redis-cli -p "$1" PING 2>/dev/null) == PONG ]]; then return; fi
        sleep 0.05
    done
    cat "$2" >&2
    fail "nothing answers PING on port $1 within 10 s"
}

await_write() { # port
    local tries
    for ((tries = 0; tries < 200; tries++)); do
        if [[ $(redis-cli -p "$1" SET ready yes 2>/dev/null) == OK ]]; then return; fi
        sleep 0.05
    done
    redis-cli -p "$1" SET ready yes >&2 || true
    fail "port $1 accepts no write within 10 s"
}

start_redis() { # port [option…]
    local port=$1
    shift
    mkdir -p "$work/redis-$port"
    start "redis-$port" redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly no \
        --dir "$work/redis-$port" "$@"
    await_ping "$port" "$work/redis-$port.log"
}

# What the nodes of a cluster prove to each other.
secret=$(od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n')

# Writes node N's configuration for a cluster of COUNT nodes whose client ports start at `base`.
configure_node() { # node count keyspace-settings
    local node=$1 count=$2 id separator=''
    {
        printf '{clusterID: "bench-%s", node: %s, secret: "%s", dataDirectory: "%s/node-%s", members: [' \
            "$base" "$node" "$secret" "$work" "$node"
        for ((id = 1; id <= count; id++)); do
            printf '%s{id: %s, host: "127.0.0.1", clientPort: %s, linkPort: %s}' \
                "$separator" "$id" $((base + id - 1)) $((base + id + 9999))
            separator=', '
        done
        printf '], keyspaces: {default: {n: %s, %s}}%s}\n' "$count" "$3" "${node_settings:-}"
    } >"$work/node-$node.json5"
    mkdir -p "$work/node-$node"
}

start_node() { # node [wrapping command…]
    local node=$1
    shift
    start "node-$node" "$@" "$quorate" serve --config "$work/node-$node.json5"
}

start_cluster() { # count keyspace-settings
    local node
    nodes=()
    for ((node = 1; node <= $1; node++)); do
        configure_node "$node" "$1" "$2"
        start_node "$node"
        nodes+=("$pid")
    done
    await_nodes "$1"
}

await_nodes() { # count
    local node
    for ((node = 1; node <= $1; node++)); do
        await_ping $((base + node - 1)) "$work/node-$node.log"
        await_write $((base + node - 1))
    done
}

# `start_cluster` with metrics, which `metric` reads, 5,000 above the client ports.
start_watched() { # count keyspace-settings
    local node
    nodes=()
    for ((node = 1; node <= $1; node++)); do
        node_settings=", metrics: {port: $((base + node + 4999))}"
        configure_node "$node" "$1" "$2"
        start_node "$node"
        nodes+=("$pid")
    done
    node_settings=''
    await_nodes "$1"
}

metric() { # node name
    local line
    exec 9<>"/dev/tcp/127.0.0.1/$((base + $1 + 4999))" || fail "node $1 tells no metrics"
    printf 'GET /metrics HTTP/1.0\r\n\r\n' >&9
    line=$(grep "^quorate_$2 " <&9) || fail "no metric quorate_$2"
    exec 9<&-
    say "${line##* }"
}

kill_node() { # node
    kill -KILL "${nodes[$1 - 1]}"
    wait "${nodes[$1 - 1]}" 2>/dev/null || true
}

return_node() { # node
    start_node "$1"
    nodes[$1 - 1]=$pid
    await_ping $((base + $1 - 1)) "$work/node-$1.log"
}

# An order of the operator, which has to succeed; some answers say more than OK.
order() { # port word…
    local port=$1 reply
    shift
    reply=$(redis-cli -p "$port" "$@")
    [[ $reply == OK || $reply == 'OK '* ]] || fail "$*: $reply"
}

# Until a node answers every read, after all others have told it what they know.
await_whole() { # node
    local tries
    for ((tries = 0; tries < 600; tries++)); do
        if [[ $(field refilling "$1") == 0 && $(field links_up "$1") == "$(field links "$1")" ]]; then
            return
        fi
        sleep 0.1
    done
    fail "node $1: $(redis-cli -p $((base + $1 - 1)) CLUSTER REFILL) after 60 s"
}

# One field of INFO.
field() { # name node
    redis-cli -p $((base + $2 - 1)) INFO 2>/dev/null | tr -d '\r' | sed -n "s/^$1://p"
}

# The same of all COUNT nodes, added up.
sum() { # name
    local node total=0 value
    for ((node = 1; node <= count; node++)); do
        value=$(field "$1" "$node")
        total=$((total + ${value:-0}))
    done
    say "$total"
}

# Commands from the standard input, none of which may fail.
pipe() { # port
    redis-cli -p "$1" --pipe >"$work/pipe.out" 2>&1 || fail "$(tail -n 3 "$work/pipe.out")"
    grep -q 'errors: 0' "$work/pipe.out" || fail "$(grep -v '^All data' "$work/pipe.out" | head -n 3)"
}

# User and system time that processes have used, in microseconds.
cpu_micros() { # pid…
    local pid total=0 fields
    for pid in "$@"; do
        read -r -a fields < <(sed 's/.*) //' "/proc/$pid/stat")
        total=$((total + fields[11] + fields[12]))
    done
    say $((total * (1000000 / $(getconf CLK_TCK))))
}

# Compiles the load generator once a run; sets `load`.
build_load() {
    local compiler
    compiler=$(command -v cc || command -v clang) || fail "no C compiler for bench/load.c"
    load=$work/load
    "$compiler" -O2 -Wall -Werror -o "$load" "$repository/bench/load.c"
}

# For awk: the median of the space-separated numbers in values[name].
median='
function median(name, n, i, j, v, a) {
    n = split(values[name], a, " ")
    for (i = 2; i <= n; i++) {
        v = a[i] + 0
        for (j = i - 1; j > 0 && a[j] + 0 > v; j--) a[j + 1] = a[j]
        a[j + 1] = v
    }
    return n % 2 ? a[(n + 1) / 2] + 0 : (a[n / 2] + a[n / 2 + 1]) / 2
}
'
