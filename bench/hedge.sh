#!/usr/bin/env bash
# Hedged reads measured: three real nodes, quorum reads through the first at a fixed rate, while the third stops
# for 100 ms of every second (SIGSTOP) and while it does not.
#
#     bench/hedge.sh [SECONDS] [RATE]     8 s and 2000 reads a second by default
#
# Rows: the keyspace's hedge setting; latency percentiles in milliseconds, each read's from when it was due; hedges
# sent, denied by the budget and won for each 1,000 reads; reads that had to wait for the last resort; the delay at
# the end; and the CPU of all three nodes for each read. The settings take turns, so that what else runs on the
# machine meets all of them. `CPU` at the end: as many reads as go through, nothing stalling.
#
# Seen on two cores with a load of 5 beside it:
#   node 3 stalling: off p99 84 ms, p99.9 104 ms; p99 7 and 11 ms with 5-7 ‰ more requests; 20ms 20 and 21 ms;
#       0ms 85 and 102 ms: the budget went into reads that needed no help
#   healthy: p99 sends 1-5 ‰ more requests; CPU a read 14-21 µs with it and without, p50 the same
source "$(dirname "$0")/servers.sh"

seconds=${1:-8}
rate=${2:-2000}
settings=(off p99 p99.9 p95 0ms 20ms)

info() { # name
    redis-cli -p "$base" INFO | tr -d '\r' | sed -n "s/^$1://p"
}

stall() { # pid
    trap 'kill -CONT "$1"; exit 0' TERM
    while :; do
        kill -STOP "$1"
        sleep 0.1
        kill -CONT "$1"
        sleep 0.9
    done
}

# Appends `case setting acknowledged seconds p50 p99 p999 hedged denied won retried delay cpu-µs/read`.
measure() { # case setting
    local before=() after=() cpu name
    redis-cli -p "$base" KEYSPACE ALTER default hedge="$2" >"$work/alter.out"
    grep -q OK "$work/alter.out" || fail "$(cat "$work/alter.out")"
    for name in hedged_reads hedges_denied hedges_won retried_reads; do before+=("$(info $name)"); done
    cpu=$(cpu_micros "${nodes[@]}")
    "$load" verify 200 1 100 "$work/keys" "$base" >"$work/load.out" || fail "$(cat "$work/load.out")"
    cpu=$(($(cpu_micros "${nodes[@]}") - cpu))
    for name in hedged_reads hedges_denied hedges_won retried_reads; do after+=("$(info $name)"); done
    say "$1 $2 $(awk -v cpu=$cpu '{ print $2, $8, $10, $12, $16, cpu / $2 }' "$work/load.out")" \
        $((after[0] - before[0])) $((after[1] - before[1])) $((after[2] - before[2])) \
        $((after[3] - before[3])) "$(info hedge_us_default)" >>"$work/samples"
}

report() {
    awk '
    BEGIN { printf "%-10s %-6s %8s %8s %8s %7s %7s %7s %6s %9s %9s\n", "", "hedge", "p50 ms", "p99 ms", "p99.9 ms",
        "sent ‰", "den. ‰", "won ‰", "retry", "delay ms", "CPU µs" }
    { printf "%-10s %-6s %8.2f %8.2f %8.2f %7.1f %7.1f %7.1f %6d %9.1f %9.1f\n", $1, $2, $5 / 1e3, $6 / 1e3, $7 / 1e3,
        $9 / $3 * 1e3, $10 / $3 * 1e3, $11 / $3 * 1e3, $12, $13 / 1e3, $8 }' "$work/samples"
}

need redis-cli
need_release
build_load
free_ports 3
start_cluster 3 'r: 2, w: 2, durability: "memory", readrepair: 0'
"$load" set 50 10000 100 - "$base" >/dev/null
seq 1 $((seconds * rate)) | awk '{ print $1 * 7919 % 10000 }' >"$work/keys"
export LOAD_RATE=$rate
for setting in "${settings[@]}"; do measure healthy "$setting"; done
stall "${nodes[2]}" &
stalling=$!
started+=("$stalling")
for setting in "${settings[@]}"; do measure stalling "$setting"; done
kill "$stalling"
wait "$stalling" || true
unset LOAD_RATE
for round in 1 2 3; do
    for setting in off p99; do measure CPU "$setting"; done
done
report
