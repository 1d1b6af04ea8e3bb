#!/usr/bin/env bash
# Cluster clients of redis-py and valkey-py while each of three and of five nodes is killed and
# restarted (bench/cluster-clients.py); then what `redis-cli --cluster check` says of it.
#
# usage: bench/cluster-clients.sh [--short] [PYTHON]   --short: three nodes, fewer keys, redis-py
source "$(dirname "$0")/servers.sh"

need_release
short=
if [[ ${1:-} == --short ]]; then
    short=1
    shift
fi
python=${1:-}
if [[ -z $python ]]; then
    python3 -m venv "$work/venv" && "$work/venv/bin/pip" install -q redis valkey ||
        fail "no redis-py and valkey-py"
    python=$work/venv/bin/python
fi

# A node's process goes on when the shell that restarted it ends.
cat >"$work/restart" <<END
setsid "$quorate" serve --config "$work/node-\$((\$1 + 1)).json5" >>"$work/restarted-\$1.log" 2>&1 &
echo \$! >"$work/pid-\$1"
cat "$work/pid-\$1"
END

stop_more() {
    local file
    for file in "$work"/pid-*; do
        if [[ -e $file ]]; then kill -KILL "$(cat "$file")" 2>/dev/null || true; fi
    done
}

# Three replicas, however many nodes.
eval "$(declare -f configure_node | sed '1s/configure_node/configure_all/')"
configure_node() {
    configure_all "$@"
    sed -i "s/{default: {n: $2,/{default: {n: 3,/" "$work/node-$1.json5"
}

run() { # count
    local failures=0
    free_ports "$1"
    start_cluster "$1" "r: 2, w: 2"
    "$python" bench/cluster-clients.py 127.0.0.1 "$base" --pids "${nodes[@]}" \
        --restart "sh '$work/restart' \$1" ${short:+--short --client redis} || failures=1
    if command -v redis-cli >/dev/null; then check_cluster "$1" || failures=1; fi
    stop_more
    stop_all
    rm -rf "$work"/node-* "$work"/pid-*
    return $failures
}

# Content when all are up, names what is down.
check_cluster() { # count
    local out last=$(($1 - 1)) tries
    for ((tries = 0; tries < 50; tries++)); do
        out=$(redis-cli --cluster check "127.0.0.1:$base" 2>&1 || true)
        if [[ $out == *"All 16384 slots covered"* && $out == *"in $1 masters"* ]]; then break; fi
        sleep 0.2
    done
    [[ $out == *"All 16384 slots covered"* && $out == *"in $1 masters"* ]] ||
        { say "FAILED  redis-cli --cluster check, all up: $out"; return 1; }
    say "ok      redis-cli --cluster check, all up"
    kill -KILL "$(cat "$work/pid-$last")"
    sleep 1
    out=$(redis-cli --cluster check "127.0.0.1:$base" 2>&1 || true)
    [[ $out == *"All 16384 slots covered"* ]] ||
        { say "FAILED  redis-cli --cluster check, node $1 down: $out"; return 1; }
    [[ $out == *"$((base + last))"* ]] ||
        { say "FAILED  redis-cli --cluster check does not name $((base + last)): $out"; return 1; }
    say "ok      redis-cli --cluster check, node $1 down"
}

cd "$repository"
status=0
say "== three nodes"
run 3 || status=1
if [[ -z $short ]]; then
    say "== five nodes"
    run 5 || status=1
fi
exit $status
