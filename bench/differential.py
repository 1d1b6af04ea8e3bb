#!/usr/bin/env python3
"""Random commands on typed values, against Quorate and Redis at once; replies compared byte by byte.

    bench/differential.py REDIS_PORT PORT… [--sequences 200] [--commands 60] [--seed 1] [--cuts] [--large]

PORT… are the nodes of one cluster whose keyspace `c` has conflict=crdt; each command goes to one of
them at random, one after the other. `bench/differential.sh` starts everything. Each sequence has
its own seed and its own keys; one that fails is run again without the commands that do not matter,
and the rest is printed with both replies.

With --cuts (`faults: true`), a node is cut off from the others for some commands, which go to the
others; then it hears them again and gets commands at once, before anything could be repaired.

With --large, commands name or take up to 7,000 elements of one value, which are done in pieces.

Intended differences, and how they are compared:
- SMEMBERS, SUNION, SINTER, SDIFF, HGETALL, HKEYS and HVALS come in another order: as multisets.
- SPOP, SRANDMEMBER and HRANDFIELD choose at random: by shape, and what they choose must be there.
  What SPOP took here is then taken from Redis as well.
- SSCAN, HSCAN and ZSCAN have other cursors: a walk from 0 to 0 must tell the same elements.
- INCRBYFLOAT and HINCRBYFLOAT are exact decimal here, 17 places, within the range of Int64; Redis
  adds binary floating point: to 15 digits. Beyond that range it is an overflow here, or no number.
- Expiry times end in the year 10889 here.
- Scores: increments are added up before they are added to what ZADD gave: to 15 digits. A score that
  ZINCRBY would make infinite is refused here (`not a number`).
- A TTL may have passed a millisecond: within 100 ms.
- -MODE refuses by name what several replicas cannot do in one step, and SMOVE everywhere: such a
  command is not sent to Redis.
- A bad option is refused here whatever the key holds; Redis sometimes looks at the key first, and then
  no further. The words must be those that Redis has for a key of the command's type.
- A cursor ends with its last byte here, in Redis at a zero byte.
"""

import argparse
import collections
import random
import socket
import sys
import time

UNORDERED = {b"SMEMBERS", b"SUNION", b"SINTER", b"SDIFF", b"HKEYS", b"HVALS"}
RANDOM = {b"SPOP", b"SRANDMEMBER", b"HRANDFIELD"}
SCANS = {b"SSCAN", b"HSCAN", b"ZSCAN"}
DECIMAL = {b"INCRBYFLOAT", b"HINCRBYFLOAT"}
CLOCK = {b"TTL", b"PTTL", b"EXPIRETIME", b"PEXPIRETIME"}


class Wire:
    """One connection; replies as raw bytes and as values."""

    def __init__(self, port, protocol):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        if protocol == 3:
            self.ask([b"HELLO", b"3"])

    def ask(self, words):
        self.socket.sendall(
            b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
        self.raw = []
        value = self.value()
        return b"".join(self.raw), value

    def fill(self):
        more = self.socket.recv(1 << 20)
        if not more:
            raise ConnectionError("closed")
        self.buffer += more

    def line(self):
        while b"\r\n" not in self.buffer:
            self.fill()
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        self.raw.append(line + b"\r\n")
        return line

    def value(self):
        line = self.line()
        kind, rest = line[:1], line[1:]
        if kind == b"$":
            if rest == b"-1":
                return None
            while len(self.buffer) < int(rest) + 2:
                self.fill()
            text = self.buffer[:int(rest)]
            self.raw.append(self.buffer[:int(rest) + 2])
            self.buffer = self.buffer[int(rest) + 2:]
            return text
        if kind in b"*~>":
            return None if rest == b"-1" else [self.value() for _ in range(int(rest))]
        if kind == b"%":
            return [self.value() for _ in range(2 * int(rest))]
        if kind == b":":
            return int(rest)
        if kind == b",":
            return float(rest)
        return Refused(line) if kind == b"-" else None if kind == b"_" else line


# What commands are made of. Keys are numbers until a sequence gets its prefix.

TEXTS = [b"", b"a", b"b", b"c", b"abc", b"A", b"\x00\xff\r\n", b"10", b"-3", b"0", b"3.5", b"-0.25",
         b"1e3", b"x" * 70, b"hello world", b"9223372036854775807", b"-9223372036854775808"]
ODD_NUMBERS = [b"", b" 1", b"1 ", b"+1", b"01", b"-0", b"abc", b"1.5", b"1e3", b"nan",
               b"9223372036854775807", b"-9223372036854775808", b"9223372036854775808",
               b"99999999999999999999", b"-", b"1\x00", b"4611686018427387904"]
ODD_SCORES = [b"inf", b"-inf", b"+inf", b"nan", b"1e308", b"-1e308", b"1e400", b"abc", b"", b" 1",
              b"1 ", b"1e-400", b".5", b"5.", b"-.5", b"1e", b"infinity", b"-0", b"+1",
              b"9007199254740993", b"0.1", b"1e21", b"123456789012345678", b"1e-7", b"1.5e300"]


def text(r):
    return r.choice(TEXTS) if r.random() < 0.98 else bytes(r.randrange(256) for _ in range(r.choice([1, 5, 600])))


def small(r):
    return b"%d" % r.randrange(-4, 6)


def number(r):
    return small(r) if r.random() < 0.9 else r.choice(ODD_NUMBERS)


def decimal(r):
    chance = r.random()
    if chance < 0.6:
        return b"%g" % (r.randrange(-40, 41) / 8)
    return small(r) if chance < 0.85 else r.choice(ODD_NUMBERS + ODD_SCORES)


score = decimal


def many(r, *makers):
    return [make(r) for _ in range(r.choice([1, 1, 1, 2, 3, 8])) for make in makers]


def maybe(r, chance, *words):
    return list(words) if r.random() < chance else []


def score_bound(r):
    return r.choice([b"", b"("]) + (score(r) if r.random() < 0.7 else r.choice([b"-inf", b"+inf"]))


def word_bound(r):
    return r.choice([b"-", b"+", b"[" + text(r), b"(" + text(r), b"[", b"(", b"[b", b"(a", b"x", b"--"])


def limit(r):
    return maybe(r, 0.4, b"LIMIT", number(r), number(r))


def zrange(r):
    kind = r.random()
    if kind < 0.4:
        words = [number(r), number(r)]
    elif kind < 0.8:
        words = [score_bound(r), score_bound(r), b"BYSCORE"]
    else:
        words = [word_bound(r), word_bound(r), b"BYLEX"]
    tail = maybe(r, 0.3, b"REV") + (limit(r) if kind > 0.35 else []) + maybe(r, 0.4, b"WITHSCORES")
    return words + tail


def set_options(r):
    words = maybe(r, 0.2, r.choice([b"NX", b"XX"])) + maybe(r, 0.15, b"GET")
    expiry = r.random()
    if expiry < 0.1:
        words += [b"PX", r.choice([b"1", b"90000", b"0", b"-1", number(r)])]
    elif expiry < 0.2:
        words += [b"EX", r.choice([b"90", b"100000", b"0", number(r)])]
    elif expiry < 0.25:
        words += [r.choice([b"EXAT", b"PXAT"]), r.choice([b"4102444800", b"4102444800000", b"1"])]
    elif expiry < 0.35:
        words.append(b"KEEPTTL")
    r.shuffle(words) if r.random() < 0.05 else None
    return words


def expire(r, name):
    amount = {b"EXPIRE": [b"100", b"5000"], b"PEXPIRE": [b"1", b"90000", b"500000"],
              b"EXPIREAT": [b"4102444800", b"4102444900", b"1"],
              b"PEXPIREAT": [b"4102444800000", b"4102444900123", b"1000"]}[name]
    words = [r.choice(amount + [b"0", b"-1", number(r)])]
    return words + maybe(r, 0.3, r.choice([b"NX", b"XX", b"GT", b"LT"])) + maybe(
        r, 0.05, r.choice([b"NX", b"GT", b"LT", b"ZZ"]))


def scan(r):
    return [b"0"] + maybe(r, 0.3, b"MATCH", r.choice([b"*", b"a*", b"?", b"[a-c]", b"*\xff*", b"x*"])) \
        + maybe(r, 0.3, b"COUNT", r.choice([b"1", b"3", b"100", b"0", number(r)]))


def keys(r):
    return [r.randrange(3) for _ in range(r.choice([1, 2, 2, 3]))]


def zadd(r):
    options = maybe(r, 0.1, b"NX") + maybe(r, 0.1, b"XX") + maybe(r, 0.1, b"GT") \
        + maybe(r, 0.1, b"LT") + maybe(r, 0.2, b"CH")
    if r.random() < 0.1:
        return options + [b"INCR", score(r), text(r)]
    return options + many(r, score, text)


ONE = lambda *makers: (lambda r: [make(r) for make in makers])  # noqa: E731
FAMILIES = {
    "string": {
        b"SET": lambda r: [text(r)] + set_options(r), b"GET": ONE(), b"SETNX": ONE(text),
        b"SETEX": lambda r: [r.choice([b"100", number(r)]), text(r)],
        b"PSETEX": lambda r: [r.choice([b"1", b"90000", number(r)]), text(r)],
        b"GETSET": ONE(text), b"GETDEL": ONE(), b"APPEND": ONE(text), b"STRLEN": ONE(),
        b"GETEX": lambda r: r.choice([[], [b"PERSIST"], [b"EX", b"100"], [b"PX", number(r)]]),
        b"INCR": ONE(), b"DECR": ONE(), b"INCRBY": ONE(number), b"DECRBY": ONE(number),
        b"INCRBYFLOAT": ONE(decimal),
    },
    "set": {
        b"SADD": lambda r: many(r, text), b"SREM": lambda r: many(r, text),
        b"SISMEMBER": ONE(text), b"SMISMEMBER": lambda r: many(r, text), b"SMEMBERS": ONE(),
        b"SCARD": ONE(), b"SPOP": lambda r: maybe(r, 0.5, number(r)),
        b"SRANDMEMBER": lambda r: maybe(r, 0.5, number(r)), b"SSCAN": scan,
    },
    "hash": {
        b"HSET": lambda r: many(r, text, text), b"HMSET": lambda r: many(r, text, text),
        b"HSETNX": ONE(text, text), b"HGET": ONE(text), b"HMGET": lambda r: many(r, text),
        b"HGETALL": ONE(), b"HDEL": lambda r: many(r, text), b"HEXISTS": ONE(text), b"HLEN": ONE(),
        b"HKEYS": ONE(), b"HVALS": ONE(), b"HSTRLEN": ONE(text), b"HINCRBY": ONE(text, number),
        b"HINCRBYFLOAT": ONE(text, decimal), b"HSCAN": scan,
        b"HRANDFIELD": lambda r: r.choice([[], [number(r)], [number(r), b"WITHVALUES"]]),
    },
    "zset": {
        b"ZADD": zadd, b"ZREM": lambda r: many(r, text), b"ZSCORE": ONE(text),
        b"ZMSCORE": lambda r: many(r, text), b"ZRANGE": zrange,
        b"ZREVRANGE": lambda r: [number(r), number(r)] + maybe(r, 0.4, b"WITHSCORES"),
        b"ZRANGEBYSCORE": lambda r: [score_bound(r), score_bound(r)] + maybe(r, 0.4, b"WITHSCORES") + limit(r),
        b"ZREVRANGEBYSCORE": lambda r: [score_bound(r), score_bound(r)] + limit(r),
        b"ZRANK": ONE(text), b"ZREVRANK": ONE(text), b"ZINCRBY": ONE(score, text), b"ZCARD": ONE(),
        b"ZCOUNT": ONE(score_bound, score_bound), b"ZPOPMIN": lambda r: maybe(r, 0.5, number(r)),
        b"ZPOPMAX": lambda r: maybe(r, 0.5, number(r)), b"ZSCAN": scan,
    },
    "list": {
        b"LPUSH": lambda r: many(r, text), b"RPUSH": lambda r: many(r, text),
        b"LPUSHX": lambda r: many(r, text), b"RPUSHX": lambda r: many(r, text),
        b"LPOP": lambda r: maybe(r, 0.4, number(r)), b"RPOP": lambda r: maybe(r, 0.4, number(r)),
        b"LRANGE": ONE(number, number), b"LINDEX": ONE(number), b"LSET": ONE(number, text),
        b"LINSERT": lambda r: [r.choice([b"BEFORE", b"AFTER", b"after", b"x"]), text(r), text(r)],
        b"LREM": ONE(number, text), b"LTRIM": ONE(number, number), b"LLEN": ONE(),
        b"LPOS": lambda r: [text(r)] + maybe(r, 0.3, b"RANK", number(r)) + maybe(r, 0.3, b"COUNT", number(r))
        + maybe(r, 0.2, b"MAXLEN", number(r)),
    },
}
KEYED = {
    b"DEL": ONE(), b"UNLINK": ONE(), b"EXISTS": ONE(), b"TOUCH": ONE(), b"TYPE": ONE(),
    b"TTL": ONE(), b"PTTL": ONE(), b"EXPIRETIME": ONE(), b"PEXPIRETIME": ONE(), b"PERSIST": ONE(),
    **{name: (lambda r, name=name: expire(r, name))
       for name in (b"EXPIRE", b"PEXPIRE", b"EXPIREAT", b"PEXPIREAT")},
}
SEVERAL = [b"DEL", b"EXISTS", b"UNLINK", b"TOUCH", b"MGET", b"SUNION", b"SINTER", b"SDIFF"]


# Commands that are done in pieces: of 5,000 elements, so that some are named twice.

POOL = [b"%06d" % n for n in range(5000)]


def amount(r):
    return r.choice([1, 1024, 2048, 2049, r.randrange(1, 7000), r.randrange(1, 7000)])


def several(r, *makers):
    return [make(r) for _ in range(amount(r)) for make in makers]


def pooled(r):
    return POOL[r.randrange(len(POOL))]


def rare(r):
    return b"x" if r.random() < 0.5 else pooled(r)


def digits(r):
    return b"%d" % r.randrange(100)


def taken(r):
    return [b"%d" % r.choice([0, amount(r), amount(r), 100000])]


def large_zadd(r):
    return maybe(r, 0.15, b"NX") + maybe(r, 0.1, b"XX") + maybe(r, 0.15, b"GT") + maybe(r, 0.15, b"LT") \
        + maybe(r, 0.3, b"CH") + several(r, digits, pooled)


def place(r):
    return b"%d" % r.randrange(-7000, 7000)


LARGE = {
    "set": {
        b"SADD": lambda r: several(r, pooled), b"SREM": lambda r: several(r, pooled), b"SCARD": ONE(),
        b"SMISMEMBER": lambda r: several(r, pooled), b"SPOP": taken, b"SMEMBERS": ONE(),
    },
    "hash": {
        b"HSET": lambda r: several(r, pooled, digits), b"HMSET": lambda r: several(r, pooled, digits),
        b"HDEL": lambda r: several(r, pooled), b"HMGET": lambda r: several(r, pooled), b"HLEN": ONE(),
        b"HGETALL": ONE(),
    },
    "zset": {
        b"ZADD": large_zadd, b"ZREM": lambda r: several(r, pooled), b"ZCARD": ONE(),
        b"ZMSCORE": lambda r: several(r, pooled), b"ZPOPMIN": taken, b"ZPOPMAX": taken,
        b"ZRANGE": lambda r: [b"0", b"-1", b"WITHSCORES"],
    },
    "list": {
        b"RPUSH": lambda r: several(r, rare), b"LPUSH": lambda r: several(r, rare), b"LLEN": ONE(),
        b"RPUSHX": lambda r: several(r, rare), b"LPUSHX": lambda r: several(r, rare),
        b"LPOP": taken, b"RPOP": taken, b"LTRIM": ONE(place, place), b"LRANGE": lambda r: [b"0", b"-1"],
        b"LREM": lambda r: [r.choice([b"0", b"1", b"3000", b"-3000", b"-2048"]), b"x"],
    },
}


def large_command(r, family):
    table = LARGE[family if r.random() < 0.95 else r.choice(list(LARGE))]
    name = r.choice(list(table))
    return [b"DEL", r.randrange(3)] if r.random() < 0.03 else [name, r.randrange(3)] + table[name](r)


def command(r, family):
    """One command: its name, then bytes, and numbers for keys."""
    chance = r.random()
    if chance < 0.03:
        return [r.choice(SEVERAL)] + keys(r)
    if chance < 0.04:
        return [b"MSET"] + [word for key in keys(r) for word in (key, text(r))]
    if chance < 0.05:
        named = keys(r)
        count = b"%d" % len(named) if r.random() < 0.8 else number(r)
        return [b"SINTERCARD", count] + named + maybe(r, 0.4, b"LIMIT", number(r))
    if chance < 0.06:
        return [b"SMOVE", r.randrange(3), r.randrange(3), text(r)]
    table = FAMILIES[family if chance < 0.85 else r.choice(list(FAMILIES))]
    if r.random() < 0.13:
        table = KEYED
    name = r.choice(list(table))
    words = [name, r.randrange(3)] + table[name](r)
    if r.random() < 0.04:
        spoil(r, words)
    return words


def spoil(r, words):
    place = r.randrange(1, len(words) + 1)
    if r.random() < 0.4 and place < len(words):
        del words[place:]
    elif r.random() < 0.5:
        words.insert(max(2, place), r.choice([b"x", b"1", b"WITHSCORES", b"GET", b"junk"]))
    elif place > 1 and place < len(words):
        words[place] = r.choice(ODD_NUMBERS + TEXTS)
    if r.random() < 0.3:
        words[0] = words[0].lower()


# Comparing


class Refused(bytes):
    """An error, so that it is told from a string that looks like one."""


def is_error(value):
    return isinstance(value, Refused)


def close(a, b):
    try:
        a, b = float(a), float(b)
    except (TypeError, ValueError):
        return False
    return a == b or abs(a - b) <= 1e-14 * max(abs(a), abs(b), 1e-3)


def largest(*numbers):
    return max(abs(int(n, 16)) if b"x" in n.lower() else abs(float(n)) for n in numbers)


def alike(ours, theirs):
    """Equal, but for the last digits of numbers."""
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(alike, ours, theirs))
    return ours == theirs or close(ours, theirs)


class Pair:
    """The same commands for both, and what differed."""

    def __init__(self, options, protocol, r):
        self.nodes = [Wire(port, protocol) for port in options.ports]
        self.redis = Wire(options.redis, protocol)
        self.random = r
        self.cuts = options.cuts
        self.away = None
        self.counts = collections.Counter()

    def ours(self, words):
        return self.random.choice([n for n in self.nodes if n is not self.away]).ask(words)

    def delete(self, key):
        self.ours([b"DEL", key])
        self.redis.ask([b"DEL", key])

    def cut(self):
        """Lets the node that is away return, or cuts one off."""
        if self.away:
            self.away.ask([b"DEBUG", b"HEAL"])
            self.away = None
        else:
            self.away = self.random.choice(self.nodes)
            number = 1 + self.nodes.index(self.away)
            for other in range(1, len(self.nodes) + 1):
                if other != number:
                    self.away.ask([b"DEBUG", b"CUT", b"%d" % other, b"60000"])

    def run(self, words):
        """Nil when both answered alike, else both replies."""
        name = words[0].upper()
        raw, value = self.ours(words)
        if raw.startswith(b"-MODE"):
            self.counts["refused by mode"] += 1
            return None
        if name in SCANS and raw == b"-ERR invalid cursor\r\n" and b"\x00" in words[2]:
            return None
        members = self.members(name, words)
        their_raw, their_value = self.redis.ask(words)
        self.counts["commands"] += 1
        if b"PX" in words or name in (b"PEXPIRE", b"PSETEX"):
            time.sleep(0.013)
        if name in SCANS and isinstance(value, list) and isinstance(their_value, list):
            value, their_value = self.walk(words, value, True), self.walk(words, their_value, False)
            raw = their_raw = b""
            if sorted(value) == sorted(their_value) or name == b"ZSCAN" and self.scores(value, their_value):
                return None
            return (repr(sorted(value)), repr(sorted(their_value)))
        if name in RANDOM and not is_error(value) and not is_error(their_value):
            return self.chosen(name, words, members, (raw, value), (their_raw, their_value))
        if raw == their_raw or self.same(name, words, raw, value, their_raw, their_value):
            return None
        if b"invalid expire time" in raw and any(w.lstrip(b"-").isdigit() and abs(int(w)) >= 1 << 38
                                                 for w in words[2:] if len(w) < 21):
            self.counts["far expiry times"] += 1
            self.delete(words[1])
            return None
        if is_error(value) and self.is_earlier(words, raw, their_raw):
            return None
        return (repr(raw), repr(their_raw))

    def is_earlier(self, words, raw, their_raw):
        """Whether our error is Redis's own for a key that is there and has the command's type."""
        if len(words) < 2:
            return False
        if not their_raw.startswith(b"-WRONGTYPE") and not raw.startswith(b"-WRONGTYPE") \
                and (their_raw.startswith(b"-") or self.redis.ask([b"EXISTS", words[1]])[1]):
            return False
        family = next((f for f in FAMILIES if words[0].upper() in FAMILIES[f]), "string")
        sample = b"sample:" + family.encode()
        self.redis.ask({"string": [b"SET", sample, b"1"], "set": [b"SADD", sample, b"1"],
                        "hash": [b"HSET", sample, b"1", b"1"], "zset": [b"ZADD", sample, b"1", b"1"],
                        "list": [b"RPUSH", sample, b"1"]}[family])
        self.counts["bad options found earlier"] += 1
        expected = raw if their_raw.startswith(b"-WRONGTYPE") or not their_raw.startswith(b"-") else their_raw
        return self.redis.ask(words[:1] + [sample] + words[2:])[0] == expected

    def scores(self, value, their_value):
        mine, theirs = dict(zip(value[::2], value[1::2])), dict(zip(their_value[::2], their_value[1::2]))
        return mine.keys() == theirs.keys() and all(close(mine[m], theirs[m]) for m in mine)

    def members(self, name, words):
        if name not in RANDOM or len(words) < 2:
            return None
        return self.redis.ask([b"HGETALL" if name == b"HRANDFIELD" else b"SMEMBERS", words[1]])[1]

    def walk(self, words, reply, is_ours):
        found = []
        while True:
            found += reply[1]
            if reply[0] == b"0":
                return found
            step = words[:2] + [reply[0]] + words[3:]
            reply = (self.ours(step) if is_ours else self.redis.ask(step))[1]

    def chosen(self, name, words, members, ours, theirs):
        (raw, value), (their_raw, their_value) = ours, theirs
        flat = lambda v: [] if v is None else v if isinstance(v, list) else [v]  # noqa: E731
        deep = [w for v in flat(value) for w in (v if isinstance(v, list) else [v])]
        there = isinstance(members, list) and set(deep) <= set(members)
        if raw[:1] != their_raw[:1] or len(flat(value)) != len(flat(their_value)) or not there:
            if raw != their_raw:
                return (repr(raw), repr(their_raw))
        if name == b"SPOP" and sorted(flat(value)) != sorted(flat(their_value)):
            self.redis.ask([b"SADD", words[1]] + flat(their_value))
            self.redis.ask([b"SREM", words[1]] + flat(value))
        return None

    def same(self, name, words, raw, value, their_raw, their_value):
        if name in UNORDERED and isinstance(value, list) and isinstance(their_value, list):
            return raw.split(b"\r\n")[0] == their_raw.split(b"\r\n")[0] and sorted(value) == sorted(their_value)
        if name == b"HGETALL" and isinstance(value, list) and isinstance(their_value, list):
            pairs = [sorted(zip(v[::2], v[1::2])) for v in (value, their_value)]
            return raw.split(b"\r\n")[0] == their_raw.split(b"\r\n")[0] and pairs[0] == pairs[1]
        if name in CLOCK and isinstance(value, int) and isinstance(their_value, int):
            slack = 100 if name.startswith(b"P") else 1
            return min(value, their_value) >= 0 and abs(value - their_value) <= slack
        if name in DECIMAL:
            return self.decimal(name, words, value, their_value)
        if name.startswith(b"Z"):
            return self.sorted_set(name, words, value, their_value)
        return False

    def decimal(self, name, words, value, their_value):
        """Same to 15 digits; Redis goes on with our digits. What is out of our range is undone."""
        if is_error(their_value):
            return b"overflow" in value and name == b"HINCRBYFLOAT"
        if is_error(value):
            if largest(words[-1], their_value) > 9e18 and (b"overflow" in value or b"valid float" in value):
                self.counts["decimals out of range"] += 1
                self.undo = words[1]
                return True
            return False
        if not close(value, their_value):
            return False
        self.counts["last digits"] += 1
        if name == b"INCRBYFLOAT":
            self.redis.ask([b"SET", words[1], value, b"KEEPTTL"])
        else:
            self.redis.ask([b"HSET", words[1], words[2], value])
        return True

    def sorted_set(self, name, words, value, their_value):
        if is_error(value) and not is_error(their_value) and b"not a number" in value:
            self.counts["infinite scores"] += 1
            self.undo = words[1]
            return True
        if not alike(value, their_value):
            return False
        self.counts["last digits"] += 1
        return True


def run(options, commands, prefix, protocol, r, counts=None):
    """The index of the first command that is answered differently, and both replies; or nil."""
    pair = Pair(options, protocol, r)
    try:
        for index, words in enumerate(commands):
            rendered = [b"%s%d" % (prefix, w) if isinstance(w, int) else w for w in words]
            pair.undo = None
            if pair.cuts and index % 4 == 3:
                pair.cut()
            difference = pair.run(rendered)
            if difference:
                return index, difference
            if pair.undo is not None:
                pair.delete(pair.undo)
    finally:
        if pair.away:
            pair.cut()
        if counts is not None:
            counts.update(pair.counts)
        for wire in pair.nodes + [pair.redis]:
            wire.socket.close()
    return None


def shrink(options, commands, prefix, protocol, seed):
    """Leaves out what does not matter for the last command's difference."""
    attempt = 0
    def fails(candidate):
        nonlocal attempt
        attempt += 1
        found = run(options, candidate, b"%ss%d:" % (prefix, attempt), protocol, random.Random(seed))
        return found is not None and found[0] == len(candidate) - 1
    size = len(commands) // 2
    while size:
        start = 0
        while start < len(commands) - 1:
            candidate = commands[:start] + commands[min(start + size, len(commands) - 1):]
            if len(candidate) < len(commands) and fails(candidate):
                commands = candidate
            else:
                start += size
        size //= 2
    return commands


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("redis", type=int)
    parser.add_argument("ports", type=int, nargs="+")
    parser.add_argument("--sequences", type=int, default=200)
    parser.add_argument("--commands", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cuts", action="store_true")
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--failures", type=int, default=20, help="stop after so many")
    options = parser.parse_args()
    counts = collections.Counter()
    failures = 0
    begun = time.time()
    for seed in range(options.seed, options.seed + options.sequences):
        r = random.Random(seed)
        family = r.choice(list(LARGE if options.large else FAMILIES))
        protocol = r.choice([2, 3])
        make = large_command if options.large else command
        commands = [make(r, family) for _ in range(options.commands)]
        prefix = b"c:%d-%d:" % (seed, time.time_ns() % 10**9)
        found = run(options, commands, prefix, protocol, random.Random(seed), counts)
        if not found:
            continue
        failures += 1
        index, replies = found
        shrunk = shrink(options, commands[:index + 1], prefix, protocol, seed)
        again = run(options, shrunk, prefix + b"last:", protocol, random.Random(seed))
        print(f"DIFFERENT  seed {seed}, RESP{protocol}, command {index}"
              + ("" if again else " (not every time)"))
        for words in shrunk:
            shown = [f"key{w}" if isinstance(w, int) else repr(w)[1:] for w in words[:20]]
            print("    ", *shown, f"… {len(words)} words" if len(words) > 20 else "")
        for who, reply in zip(("quorate", "redis  "), (again or (0, replies))[1]):
            print(f"    {who} {reply[:300]}")
        sys.stdout.flush()
        if failures >= options.failures:
            break
    for name, count in sorted(counts.items()):
        print(f"{count:8}  {name}")
    print(f"{failures} sequences differ, of {seed - options.seed + 1} from seed {options.seed}, "
          f"{time.time() - begun:.0f} s")
    sys.exit(1 if failures else 0)


main()
