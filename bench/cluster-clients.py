#!/usr/bin/env python3
"""The cluster clients of redis-py and valkey-py, unchanged, while nodes die and return.

    bench/cluster-clients.py HOST PORT --pids PID… --restart COMMAND [--short]
                             [--client redis|valkey|both]

PORT is the first node's; the others follow. Each node in turn is ended with SIGKILL and started
again by COMMAND (a shell command with the node's place, 0…, as $1, which prints its new process id).
Prints one line a check and exits 1 when one fails:

- within 3 s of a kill a client that was connected before reaches every key, and so does a new one;
- scan_iter over what is left tells every key;
- after the return all of that again.

Needs redis-py and valkey-py (pip install redis valkey). It ends with FLUSHALL: use a scratch
cluster whose default keyspace has n ≥ 3.
"""

import argparse
import importlib
import os
import signal
import subprocess
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("host")
parser.add_argument("port", type=int)
parser.add_argument("--pids", type=int, nargs="+", required=True)
parser.add_argument("--restart", required=True)
parser.add_argument("--short", action="store_true")
parser.add_argument("--client", choices=["redis", "valkey", "both"], default="both")
options = parser.parse_args()
KEYS = [f"cluster-clients:{number}" for number in range(100 if options.short else 1000)]
SECONDS = 3
failed = 0


def check(name, problem):
    global failed
    if problem:
        failed += 1
        print(f"FAILED  {name}: {problem}", flush=True)
    else:
        print(f"ok      {name}", flush=True)


def connect(library, port):
    cluster = importlib.import_module(f"{library}.cluster")
    kind = cluster.RedisCluster if library == "redis" else cluster.ValkeyCluster
    return kind(host=options.host, port=port, socket_timeout=2, decode_responses=True)


def unreached(client, since):
    """Why not every key was read and written within the time; None when all were."""
    problem = "nothing was tried"
    missing = list(KEYS)
    while missing:
        key = missing[0]
        try:
            if client.get(key) is None:
                return f"{key} is gone"
            client.set(key, "again")
            missing.pop(0)
        except Exception as error:
            problem = f"{key}: {type(error).__name__}: {error}"
            if time.monotonic() - since > SECONDS:
                return problem
            time.sleep(0.05)
    elapsed = time.monotonic() - since
    return None


def unscanned(client):
    try:
        found = set(client.scan_iter(match="cluster-clients:*", count=100))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None if found == set(KEYS) else f"{len(found)} of {len(KEYS)} keys"


def await_node(port):
    redis = importlib.import_module("redis")
    for _ in range(200):
        try:
            if redis.Redis(options.host, port, socket_timeout=1).set("cluster-clients:ready", "y"):
                return
        except redis.RedisError:
            time.sleep(0.1)
    sys.exit(f"nothing answers on port {port}")


def unnamed(since):
    """Why not every node names all nodes in CLUSTER SLOTS within the time; None when all do."""
    redis = importlib.import_module("redis")
    ports = {options.port + place for place in range(len(options.pids))}
    for port in ports:
        connection = redis.Connection(options.host, port, socket_timeout=1)
        while True:
            connection.send_command("CLUSTER", "SLOTS")
            named = {entry[2][1] for entry in connection.read_response()}
            if named == ports:
                break
            if time.monotonic() - since > SECONDS:
                return f"the node on port {port} names {sorted(named)}"
            time.sleep(0.05)
        connection.disconnect()
    return None


def run(library):
    client = connect(library, options.port)
    for key in KEYS:
        client.set(key, "value")
    check(f"{library}: every key, all nodes up", unreached(client, time.monotonic()))
    check(f"{library}: scan_iter, all nodes up", unscanned(client))
    for place in range(len(options.pids)):
        os.kill(options.pids[place], signal.SIGKILL)
        since = time.monotonic()
        name = f"{library}: node {place + 1} of {len(options.pids)} killed"
        check(f"{name}, the old client", unreached(client, since))
        other = options.port + (place + 1) % len(options.pids)
        fresh = connect(library, other)
        check(f"{name}, a new client", unreached(fresh, since + SECONDS))
        check(f"{name}, scan_iter", unscanned(fresh))
        command = ["/bin/sh", "-c", options.restart, "restart", str(place)]
        options.pids[place] = int(subprocess.check_output(command).split()[-1])
        await_node(options.port + place)
        check(f"{name} and back, all name all", unnamed(time.monotonic()))
        returned = connect(library, options.port + place)
        check(f"{name} and back", unreached(returned, time.monotonic()))
        check(f"{name} and back, scan_iter", unscanned(returned))
        fresh.close()
        returned.close()
    client.delete("cluster-clients:ready")
    client.close()


KEYS.append("cluster-clients:ready")
libraries = ["redis", "valkey"] if options.client == "both" else [options.client]
for library in libraries:
    run(library)
connect(libraries[0], options.port).flushall()
sys.exit(1 if failed else 0)
