#!/usr/bin/env python3
"""Five real nodes under load, broken in every shape a network breaks in, healed, and held to what they acknowledged.

    bench/shapes.py [--seconds 20] [--only majority,ring] [--kill MINUTES]

For each shape: a load on a strict keyspace (r = w = quorum), a siblings keyspace and two crdt keyspaces (r = w = 1
and quorum), the fault through the product's own commands (DEBUG CUT, DEBUG LOSE; pause is SIGSTOP), the end of the
fault, and then: every node must answer the same for every key, nobody having repaired it by reading at R > 1 first,
and hold everything that was acknowledged. With --kill, nodes are killed with SIGKILL at random and started again
for so many minutes. Needs nothing but Python and a release build. Exits 1 when a promise is broken.

Columns: share of requests answered during the fault on the larger and the smaller side (strict | crdt r=w=1),
seconds from the end of the fault until all five nodes answer alike, acknowledged writes checked, what broke.
"""

import argparse
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
QUORATE = os.environ.get("QUORATE", os.path.join(HERE, "..", ".build", "release", "quorate"))
NODES = range(1, 6)


class Refused(Exception):
    """An error reply: the first word says whether anything may have happened."""


class Client:
    """RESP2 over one socket, reconnecting."""

    def __init__(self, port, timeout=8.0):
        self.port, self.timeout, self.file = port, timeout, None

    def ask(self, *words):
        try:
            if self.file is None:
                self.socket = socket.create_connection(("127.0.0.1", self.port), self.timeout)
                self.file = self.socket.makefile("rb")
            words = [str(word).encode() for word in words]
            self.socket.sendall(
                b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
            return self.reply()
        except (OSError, EOFError, ValueError):
            self.close()
            raise ConnectionError

    def reply(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise Refused(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2].decode()
        if kind == b"*":
            return None if rest == b"-1" else [self.reply() for _ in range(int(rest))]
        return rest.decode()

    def close(self):
        if self.file is not None:
            self.socket.close()
        self.file = None


class Cluster:
    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="quorate-shapes.")
        self.base = random.randrange(15_000, 22_000, 10)
        self.up("--nodes", "5", "--port", self.base, "--faults")
        self.refresh()

    def run(self, *words):
        return subprocess.run(
            [QUORATE, *map(str, words)], check=True, capture_output=True, text=True).stdout

    def up(self, *more):
        self.run("cluster", "up", "--directory", os.path.join(self.directory, "c"), *more)

    def refresh(self):
        status = json.loads(
            self.run("cluster", "status", "--json", "--directory", os.path.join(self.directory, "c")))
        self.pids = {node["id"]: node.get("pid") for node in status["nodes"]}

    def client(self, node):
        return Client(self.base + node - 1)

    def down(self):
        subprocess.run(
            [QUORATE, "cluster", "down", "--directory", os.path.join(self.directory, "c")],
            capture_output=True)
        shutil.rmtree(self.directory, ignore_errors=True)


class Ledger:
    """What was acknowledged, and what may have happened."""

    def __init__(self):
        self.lock = threading.Lock()
        self.keys = {}
        self.adds = {}
        self.counts = {}
        self.outcomes = {}
        self.broken = []

    def tell(self, node, kind, is_ok):
        with self.lock:
            pair = self.outcomes.setdefault((node, kind), [0, 0])
            pair[0 if is_ok else 1] += 1


CERTAIN = ("UNAVAILABLE", "OVERLOADED", "CLOCK", "DISKFULL", "OOM", "CONSISTENCY", "REMOVED")


class Load(threading.Thread):
    """One client of one node."""

    def __init__(self, cluster, ledger, node, number):
        super().__init__(daemon=True)
        self.client, self.ledger, self.node, self.number = cluster.client(node), ledger, node, number
        self.random = random.Random(number)
        self.is_over = False
        self.sequence = 0

    def run(self):
        acts = [self.write, self.read, self.add, self.count, self.cart, self.remove]
        while not self.is_over:
            self.sequence += 1
            self.random.choice(acts)()
            time.sleep(0.004)

    def attempt(self, kind, *words):
        """The reply; None where nothing happened, raises KeyError where that is unknown."""
        try:
            reply = self.client.ask(*words)
        except Refused as error:
            self.ledger.tell(self.node, kind, False)
            if str(error).split()[0] in CERTAIN:
                return None
            raise KeyError
        except ConnectionError:
            self.ledger.tell(self.node, kind, False)
            time.sleep(0.05)
            raise KeyError
        self.ledger.tell(self.node, kind, True)
        return reply if reply is not None else "nil"

    def write(self):
        key, value = f"strict:{self.number}-{self.sequence}", f"v{self.sequence}"
        try:
            if self.attempt("strict", "SET", key, value) == "OK":
                with self.ledger.lock:
                    self.ledger.keys[key] = value
        except KeyError:
            pass

    def read(self):
        with self.ledger.lock:
            if not self.ledger.keys:
                return
            key = self.random.choice(list(self.ledger.keys)[-200:])
            value = self.ledger.keys[key]
        try:
            seen = self.attempt("strict", "GET", key)
        except KeyError:
            return
        if seen is not None and seen != value:
            self.ledger.broken.append(f"node {self.node} read {seen} at {key}, acknowledged was {value}")

    def note_add(self, key, element, is_known):
        with self.ledger.lock:
            known, unknown, removed = self.ledger.adds.setdefault(key, (set(), set(), set()))
            (known if is_known else unknown).add(element)

    def add(self):
        key = self.random.choice(["sets:a", "sets:b", "quorumsets:a"])
        element = f"{self.number}-{self.sequence}"
        try:
            if self.attempt("crdt" if key[0] == "s" else "crdt quorum", "SADD", key, element) is not None:
                self.note_add(key, element, True)
        except KeyError:
            self.note_add(key, element, False)

    def remove(self):
        """Removes what this client itself added, so that the order of the two is known."""
        mine = f"{self.number}-"
        with self.ledger.lock:
            known = self.ledger.adds.get("sets:a", (set(), set(), set()))[0]
            own = [element for element in list(known)[:50] if element.startswith(mine)]
        if not own:
            return
        with self.ledger.lock:
            self.ledger.adds["sets:a"][0].discard(own[0])
            self.ledger.adds["sets:a"][1].add(own[0])
        try:
            if self.attempt("crdt", "SREM", "sets:a", own[0]) == 1:
                with self.ledger.lock:
                    self.ledger.adds["sets:a"][1].discard(own[0])
                    self.ledger.adds["sets:a"][2].add(own[0])
        except KeyError:
            pass

    def count(self):
        key = self.random.choice(["sets:n", "quorumsets:n"])
        amount = self.random.randrange(1, 10)
        try:
            known = self.attempt("crdt" if key[0] == "s" else "crdt quorum", "INCRBY", key, amount)
            added = (amount, 0) if known is not None else (0, 0)
        except KeyError:
            added = (0, amount)
        with self.ledger.lock:
            low, high = self.ledger.counts.get(key, (0, 0))
            self.ledger.counts[key] = (low + added[0], high + added[0] + added[1])

    def cart(self):
        """Read, modify, write of siblings: the union of all values and one more element."""
        key = f"carts:{self.random.randrange(4)}"
        element = f"{self.number}-{self.sequence}"
        try:
            read = self.attempt("siblings", "QGET", key)
            if read is None:
                return
            elements = {e for value in read[1:] for e in value.split(",")} | {element}
            value = ",".join(sorted(elements))
            if self.attempt("siblings", "QSET", key, value, "CONTEXT", read[0]) == "OK":
                self.note_add(key, element, True)
        except KeyError:
            self.note_add(key, element, False)


def lost_pairs(shape):
    """Directed pairs of nodes between which everything is lost."""
    def apart(*sides):
        return {(a, b) for x in sides for y in sides if x is not y for a in x for b in y}

    return {
        "majority": apart((1, 2, 3), (4, 5)),
        "halves": apart((1, 2), (3, 4), (5,)),
        "isolate": apart((1,), (2, 3, 4, 5)),
        "one-way": {(1, b) for b in (2, 3, 4, 5)},
        "one-way-in": {(b, 1) for b in (2, 3, 4, 5)},
        "bridge": apart((1, 2), (4, 5)),
        "ring": {(a, b) for a in NODES for b in NODES if (a - b) % 5 in (2, 3)},
    }.get(shape, set())


SHAPES = ["majority", "halves", "isolate", "one-way", "one-way-in", "bridge", "ring", "flaky", "flap", "pause"]
SMALLER = {"majority": (4, 5), "halves": (5,), "isolate": (1,), "one-way": (1,), "one-way-in": (1,), "pause": (5,)}


def cut(cluster, lost, milliseconds):
    for a in NODES:
        for b in NODES:
            if (a, b) in lost:
                words = ("DEBUG", "CUT", b, milliseconds) + (() if (b, a) in lost else ("OUT",))
                cluster.client(a).ask(*words)


def inject(cluster, shape, seconds):
    if shape == "flaky":
        for a in NODES:
            for b in NODES:
                if a != b:
                    cluster.client(a).ask("DEBUG", "LOSE", b, int(seconds * 1000), 300)
        time.sleep(seconds)
    elif shape == "flap":
        for _ in range(int(seconds / 2)):
            cut(cluster, lost_pairs("majority"), 1000)
            time.sleep(2)
    elif shape == "pause":
        os.kill(cluster.pids[5], signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(cluster.pids[5], signal.SIGCONT)
    else:
        cut(cluster, lost_pairs(shape), int(seconds * 1000))
        time.sleep(seconds)


def kill_at_random(cluster, seconds, seed):
    dice, end = random.Random(seed), time.monotonic() + seconds
    kills = 0
    while time.monotonic() < end:
        time.sleep(dice.uniform(0.5, 3))
        for node in dice.sample(list(NODES), dice.choice([1, 1, 1, 2])):
            os.kill(cluster.pids[node], signal.SIGKILL)
            kills += 1
        time.sleep(dice.uniform(0.1, 2))
        cluster.up()
        cluster.refresh()
    return kills


def answers(cluster, node, keys):
    """What a node says of every key by itself."""
    client = cluster.client(node)
    result = {}
    for key in keys:
        if key.startswith("strict:"):
            result[key] = client.ask("GET", key, "R", 1)
        elif key.endswith(":n"):
            result[key] = client.ask("GET", key, "R", 1)
        elif key.startswith("carts:"):
            result[key] = sorted(client.ask("QGET", key, "R", 1)[1:])
        else:
            result[key] = sorted(client.ask("SMEMBERS", key, "R", 1))
    client.close()
    return result


def converge(cluster, keys, patience=60):
    """Seconds until all nodes say the same of every key, and what they say."""
    begun = time.monotonic()
    while True:
        try:
            all_answers = [answers(cluster, node, keys) for node in NODES]
            if all(one == all_answers[0] for one in all_answers):
                return time.monotonic() - begun, all_answers[0]
        except (Refused, ConnectionError):
            all_answers = None
        if time.monotonic() - begun > patience:
            differing = [k for k in keys if all_answers and len({str(a[k]) for a in all_answers}) > 1]
            return None, f"after {patience} s nodes differ at {differing[:3]}"
        time.sleep(0.1)


def judge(ledger, final):
    """What was promised and is not so."""
    broken = list(ledger.broken)
    for key, value in ledger.keys.items():
        if final[key] != value:
            broken.append(f"{key} is {final[key]}, acknowledged was {value}")
    for key, (known, unknown, removed) in ledger.adds.items():
        held = final[key]
        if key.startswith("carts:"):
            held = {e for value in held for e in value.split(",")}
        held = set(held)
        if known - held:
            broken.append(f"{key} lacks {len(known - held)} acknowledged elements, such as {min(known - held)}")
        if removed & held:
            broken.append(f"{key} has {min(removed & held)} again, which was removed")
        if held - known - unknown:
            broken.append(f"{key} has {min(held - known - unknown)}, which nobody added")
    for key, (low, high) in ledger.counts.items():
        value = int(final[key] or 0)
        if not low <= value <= high:
            broken.append(f"{key} is {value}, acknowledged were {low}, at most {high}")
    return broken


def share(ledger, nodes, kind):
    pairs = [ledger.outcomes.get((node, kind), (0, 0)) for node in nodes]
    total = sum(ok + bad for ok, bad in pairs)
    return "-" if total == 0 else f"{100 * sum(ok for ok, _ in pairs) // total}%"


def trial(cluster, name, fault):
    ledger = Ledger()
    loads = [Load(cluster, ledger, node, random.randrange(1 << 30)) for node in NODES for _ in range(2)]
    for load in loads:
        load.start()
    time.sleep(1)
    ledger.outcomes.clear()
    fault()
    small = SMALLER.get(name, ())
    shares = [share(ledger, side, kind) for kind in ("strict", "crdt")
              for side in ([n for n in NODES if n not in small], small)]
    for load in loads:
        load.is_over = True
    for load in loads:
        load.join()
    keys = list(ledger.keys) + list(ledger.adds) + list(ledger.counts)
    seconds, final = converge(cluster, keys)
    broken = [final] if seconds is None else judge(ledger, final)
    checked = len(ledger.keys) + sum(len(a[0]) + len(a[2]) for a in ledger.adds.values())
    print(f"{name:11} strict {shares[0]:>4}/{shares[1]:>4}  crdt {shares[2]:>4}/{shares[3]:>4}  alike after "
          f"{'never' if seconds is None else f'{seconds:.1f} s':>6}  {checked:6} checked  "
          + ("; ".join(broken[:3]) if broken else "nothing broken"), flush=True)
    return not broken


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--only", default=",".join(SHAPES))
    parser.add_argument("--kill", type=float, default=0, metavar="MINUTES")
    options = parser.parse_args()
    unknown = [shape for shape in options.only.split(",") if shape not in SHAPES]
    if unknown:
        parser.error(f"no shape is called {', '.join(unknown)}; there are {', '.join(SHAPES)}")
    cluster = Cluster()
    is_well = True
    try:
        admin = cluster.client(1)
        for words in (
            "strict n=5 r=quorum w=quorum", "sets n=5 r=1 w=1 conflict=crdt",
            "quorumsets n=5 r=quorum w=quorum conflict=crdt", "carts n=5 r=1 w=1 conflict=siblings siblings=1000",
        ):
            admin.ask("KEYSPACE", "CREATE", *words.split(), "timeout=1000")
        if options.kill:
            # Only what is on disk may be expected to outlive the kill of every replica that took it.
            for name in ("strict", "sets", "quorumsets", "carts"):
                admin.ask("KEYSPACE", "ALTER", name, "durability=fsync")
            is_well = trial(cluster, "kill -9", lambda: kill_at_random(cluster, options.kill * 60, 1))
        else:
            for shape in options.only.split(","):
                is_well &= trial(cluster, shape, lambda: inject(cluster, shape, options.seconds))
                for key in ("sets:a", "sets:b", "quorumsets:a", "sets:n", "quorumsets:n",
                            "carts:0", "carts:1", "carts:2", "carts:3"):
                    admin.ask("DEL", key)
                time.sleep(1)
    finally:
        cluster.down()
    print("every promise held" if is_well else "a promise was broken")
    sys.exit(0 if is_well else 1)


if __name__ == "__main__":
    main()
