#!/usr/bin/env python3
"""Redis's own Python client, unchanged, against a running node.

    bench/clients.py HOST PORT [--reference]

Needs redis-py 8 (pip install redis). Prints one line for each check and exits 1 when one fails. It
ends with FLUSHALL: use a scratch cluster. With --reference it leaves out what is Quorate's own, so
that the checks themselves can be held against a redis-server in cluster mode.

A command that the keyspace's mode cannot honour may be refused with `-MODE …`; that is an answer,
and the line says so. Anything weaker is a failure.
"""

import asyncio
import sys
import threading
import time

# Before the client is looked for, which may not be installed.
if {"-h", "--help"} & set(sys.argv[1:]):
    print(__doc__.strip())
    sys.exit(0)
if len(sys.argv) < 3 or not sys.argv[2].isdigit():
    sys.exit("usage: bench/clients.py HOST PORT [--reference]")

import redis
import redis.asyncio
from redis.cluster import RedisCluster
from redis.exceptions import AuthenticationError, ConnectionError, ResponseError

HOST, PORT = sys.argv[1], int(sys.argv[2])
REFERENCE = "--reference" in sys.argv[3:]
PREFIX = "clients-py:{one}:"
failed = 0


class Refused(Exception):
    """The node refused by name what the keyspace's mode cannot honour."""


def connect(protocol, **options):
    return redis.Redis(HOST, PORT, protocol=protocol, socket_timeout=10, **options)


def check(name, body, *arguments):
    global failed
    try:
        body(*arguments)
        print(f"ok      {name}")
    except Refused as refusal:
        print(f"ok      {name} (refused: {refusal})")
    except Exception as problem:  # every other outcome is a finding, whatever its class
        failed += 1
        print(f"FAILED  {name}: {type(problem).__name__}: {problem}")


def expect(actual, wanted):
    if actual != wanted:
        raise AssertionError(f"got {actual!r}, wanted {wanted!r}")


def expect_error(kind, words, body):
    try:
        answer = body()
    except kind as error:
        if not any(word in str(error).lower() for word in words):
            raise AssertionError(f"wording: {error}") from error
        return
    raise AssertionError(f"no error but {answer!r}")


def honoured(body):
    """Runs a command that some modes refuse."""
    try:
        return body()
    except ResponseError as error:
        if str(error).startswith("MODE"):
            raise Refused(error) from error
        raise


def strings(r):
    key = PREFIX + "a"
    expect(r.set(key, b"value"), True)
    expect(r.get(key), b"value")
    expect(r.get(PREFIX + "missing"), None)
    expect(r.strlen(key), 5)
    expect(r.exists(key, PREFIX + "missing"), 1)
    expect(r.type(key), b"string")
    expect(r.type(PREFIX + "missing"), b"none")
    expect(r.delete(key, PREFIX + "missing"), 1)
    expect(r.get(key), None)
    expect(r.strlen(key), 0)


def binary(r):
    key = PREFIX.encode() + bytes(range(256))
    for value in (b"", bytes(range(256)), b"\r\n$5\r\n", b"x" * 1_000_000):
        r.set(key, value)
        expect(r.get(key), value)
    r.delete(key)


def several(r):
    pairs = {PREFIX + f"m{i}": str(i).encode() for i in range(20)}
    expect(r.mset(pairs), True)
    expect(r.mget(list(pairs) + [PREFIX + "missing"]), list(pairs.values()) + [None])
    expect(r.delete(*pairs), len(pairs))


def expiry(r):
    key = PREFIX + "ttl"
    r.set(key, "v", ex=100)
    if not 95 <= r.ttl(key) <= 100:
        raise AssertionError(f"TTL {r.ttl(key)}")
    if not 95_000 <= r.pttl(key) <= 100_000:
        raise AssertionError(f"PTTL {r.pttl(key)}")
    expect(r.set(key, "w"), True)
    expect(r.ttl(key), -1)
    expect(r.ttl(PREFIX + "missing"), -2)
    r.set(key, "v", px=60)
    deadline = time.monotonic() + 5
    while r.get(key) is not None:
        if time.monotonic() > deadline:
            raise AssertionError("a key of 60 ms lives after 5 s")
        time.sleep(0.02)
    expect(r.exists(key), 0)


def expire_later(r):
    key = PREFIX + "later"
    r.set(key, "v")
    expect(honoured(lambda: r.expire(key, 50)), True)
    if not 45 <= r.ttl(key) <= 50:
        raise AssertionError(f"TTL {r.ttl(key)}")
    expect(honoured(lambda: r.persist(key)), True)
    expect(r.ttl(key), -1)
    expect(r.expire(PREFIX + "missing", 50), False)
    r.delete(key)


def keep_ttl(r):
    key = PREFIX + "keep"
    r.set(key, "v", ex=100)
    honoured(lambda: r.set(key, "w", keepttl=True))
    if not 95 <= r.ttl(key) <= 100:
        raise AssertionError(f"TTL {r.ttl(key)}")


def conditional(r):
    key = PREFIX + "nx"
    r.delete(key)
    expect(honoured(lambda: r.set(key, "1", xx=True)), None)
    expect(honoured(lambda: r.set(key, "1", nx=True)), True)
    expect(r.set(key, "2", nx=True), None)
    expect(r.set(key, "3", xx=True), True)
    expect(r.get(key), b"3")


def set_get(r):
    key = PREFIX + "setget"
    r.set(key, "old")
    expect(honoured(lambda: r.set(key, "new", get=True)), b"old")
    expect(r.get(key), b"new")


def append(r):
    key = PREFIX + "append"
    r.delete(key)
    expect(honoured(lambda: r.append(key, "ab")), 2)
    expect(r.append(key, "cd"), 4)
    expect(r.get(key), b"abcd")


def getdel(r):
    key = PREFIX + "getdel"
    r.set(key, "v")
    expect(honoured(lambda: r.getdel(key)), b"v")
    expect(r.get(key), None)


def pipelines(r):
    with r.pipeline(transaction=False) as pipeline:
        for i in range(1000):
            pipeline.set(PREFIX + f"p{i}", i)
        for i in range(1000):
            pipeline.get(PREFIX + f"p{i}")
        answers = pipeline.execute()
    expect(answers[:1000], [True] * 1000)
    expect(answers[1000:], [str(i).encode() for i in range(1000)])


def failing_pipeline(r):
    with r.pipeline(transaction=False) as pipeline:
        pipeline.set(PREFIX + "f", 1).execute_command("NOSUCHCOMMAND").get(PREFIX + "f")
        first, second, third = pipeline.execute(raise_on_error=False)
    expect((first, isinstance(second, ResponseError), third), (True, True, b"1"))


def scanning(r):
    keys = {(PREFIX + f"scan{i}").encode() for i in range(500)}
    with r.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.set(key, "v")
        pipeline.execute()
    expect(set(r.scan_iter(match=PREFIX.replace("{", "\\{") + "scan*", count=50)), keys)
    if r.dbsize() < len(keys):
        raise AssertionError(f"DBSIZE {r.dbsize()}")


def connection(r):
    expect(r.ping(), True)
    expect(r.echo("hello"), b"hello")
    expect(r.client_setname("clients-py"), True)
    expect(r.client_getname() in ("clients-py", b"clients-py"), True)
    if r.client_id() < 1:
        raise AssertionError(f"CLIENT ID {r.client_id()}")


def about(r):
    for field in ("redis_version", "connected_clients", "used_memory"):
        if field not in r.info():
            raise AssertionError(f"INFO without {field}")
    commands = r.command()
    for name in ("get", "set", "mget"):
        if name not in commands:
            raise AssertionError(f"COMMAND without {name}")
    if r.command_count() < 20:
        raise AssertionError(f"COMMAND COUNT {r.command_count()}")


def settings(r):
    for name in ("save", "appendonly", "maxmemory"):
        if name not in r.config_get(name):
            raise AssertionError(f"CONFIG GET {name}: {r.config_get(name)}")
    words = ["unknown", "settings are changed with"]
    expect_error(ResponseError, words, lambda: r.config_set("no-such-setting", "1"))


def hello(protocol):
    r = connect(protocol)
    answer = r.execute_command("HELLO", protocol)
    if not isinstance(answer, dict):
        answer = dict(zip(answer[::2], answer[1::2]))
    expect(answer.get(b"proto", answer.get("proto")), protocol)
    words = ["noproto", "unsupported protocol"]
    expect_error(ResponseError, words, lambda: r.execute_command("HELLO", 9))


def errors(r):
    for words, command in (
        (["unknown command"], "NOSUCHCOMMAND a"),
        (["wrong number of arguments"], "GET"),
        (["syntax error"], "SET {one}e v BOGUS"),
        (["invalid expire time"], "SET {one}e v EX 0"),
        (["not an integer"], "SET {one}e v EX soon"),
        (["index", "select"], "SELECT 99"),
    ):
        expect_error(ResponseError, words, lambda: r.execute_command(*command.split()))
    expect(r.execute_command("SELECT", "0") in (True, b"OK"), True)
    expect(r.ping(), True)


def authentication(protocol):
    words = ["without any password", "invalid username-password", "no password"]
    expect_error(
        AuthenticationError, words, lambda: connect(protocol).execute_command("AUTH", "wrong"))


def protocol_error(protocol):
    """A malformed request costs its own connection and no other."""
    other = connect(protocol)
    other.ping()
    broken = connect(protocol).connection_pool.get_connection()
    broken.send_packed_command([b"*1\r\n$999999999999\r\n"])
    try:
        broken.read_response()
        raise AssertionError("no error")
    except ResponseError as error:
        if "protocol error" not in str(error).lower():
            raise AssertionError(f"wording: {error}") from error
    except ConnectionError:
        pass
    expect(other.ping(), True)


def threads(protocol):
    r = connect(protocol)
    problems = []

    def work(number):
        try:
            for i in range(50):
                r.set(PREFIX + f"t{number}", i)
                expect(r.get(PREFIX + f"t{number}"), str(i).encode())
        except Exception as problem:
            problems.append(problem)

    workers = [threading.Thread(target=work, args=(n,)) for n in range(20)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if problems:
        raise problems[0]


def asynchronous(protocol):
    async def run():
        async with redis.asyncio.Redis(host=HOST, port=PORT, protocol=protocol) as r:
            await r.set(PREFIX + "async", "v")
            expect(await r.get(PREFIX + "async"), b"v")

    asyncio.run(run())


def cluster_commands(r):
    expect(r.execute_command("CLUSTER", "KEYSLOT", "{user1000}.following"), 3443)
    covered = {slot for first, last, *_ in r.cluster("SLOTS")
               for slot in range(int(first), int(last) + 1)}
    expect(len(covered), 16384)
    if not r.cluster("SHARDS"):
        raise AssertionError("CLUSTER SHARDS is empty")
    expect(r.cluster("INFO")["cluster_state"], "ok")
    if not any(str(PORT) in address for address in r.cluster("NODES")):
        raise AssertionError(f"CLUSTER NODES does not name port {PORT}: {r.cluster('NODES')}")


def cluster_client(protocol):
    with RedisCluster(host=HOST, port=PORT, protocol=protocol) as r:
        for i in range(100):
            expect(r.set(f"clients-py:cluster{i}", i), True)
        for i in range(100):
            expect(r.get(f"clients-py:cluster{i}"), str(i).encode())


def typed(name):
    """A key in a keyspace whose values have types that merge."""
    return "typed:{one}:" + name


def keyspace(r):
    try:
        r.execute_command("KEYSPACE", "CREATE", "typed", "conflict=crdt")
    except ResponseError as error:
        if "exists" not in str(error):
            raise


def counters(r):
    r.delete(typed("n"))
    expect([r.incr(typed("n")), r.incr(typed("n"), 5), r.decr(typed("n"), 2)], [1, 6, 4])
    expect(float(r.incrbyfloat(typed("n"), 0.5)), 4.5)
    expect_error(ResponseError, ["not an integer"], lambda: r.incr(typed("n")))


def sets(r):
    r.delete(typed("s"), typed("t"))
    expect(r.sadd(typed("s"), "a", "b", "c"), 3)
    expect(r.sadd(typed("t"), "c", "d"), 2)
    expect(set(r.smembers(typed("s"))), {b"a", b"b", b"c"})
    expect(set(r.sinter(typed("s"), typed("t"))), {b"c"})
    expect(set(r.sunion(typed("s"), typed("t"))), {b"a", b"b", b"c", b"d"})
    expect(set(r.sdiff(typed("s"), typed("t"))), {b"a", b"b"})
    expect([bool(x) for x in r.smismember(typed("s"), ["a", "x"])], [True, False])
    expect(set(r.sscan_iter(typed("s"), count=1)), {b"a", b"b", b"c"})
    expect(set(r.spop(typed("s"), 3)), {b"a", b"b", b"c"})
    expect(r.exists(typed("s")), 0)


def hashes(r):
    r.delete(typed("h"))
    expect(r.hset(typed("h"), mapping={"f": "1", "g": "x"}), 2)
    expect(r.hgetall(typed("h")), {b"f": b"1", b"g": b"x"})
    expect(r.hincrby(typed("h"), "f", 4), 5)
    expect(float(r.hincrbyfloat(typed("h"), "f", 0.25)), 5.25)
    expect(r.hmget(typed("h"), ["g", "none"]), [b"x", None])
    expect(dict(r.hscan_iter(typed("h"))), {b"f": b"5.25", b"g": b"x"})
    expect(r.hdel(typed("h"), "f", "g"), 2)


def sorted_sets(r):
    r.delete(typed("z"))
    expect(r.zadd(typed("z"), {"a": 1, "b": 2.5, "c": 2}), 3)
    pairs = [[m, float(s)] for m, s in r.zrange(typed("z"), 0, -1, withscores=True)]
    expect(pairs, [[b"a", 1.0], [b"c", 2.0], [b"b", 2.5]])
    expect(r.zrangebyscore(typed("z"), 2, "+inf"), [b"c", b"b"])
    expect(float(r.zincrby(typed("z"), 3, "a")), 4.0)
    expect(r.zrevrank(typed("z"), "a"), 0)
    expect([[m, float(s)] for m, s in r.zpopmin(typed("z"), 1)], [[b"c", 2.0]])
    expect(r.zscore(typed("z"), "c"), None)


def lists(r):
    r.delete(typed("l"))
    expect(r.rpush(typed("l"), "b", "c"), 2)
    expect(r.lpush(typed("l"), "a"), 3)
    expect(r.linsert(typed("l"), "before", "c", "x"), 4)
    expect(r.lrange(typed("l"), 0, -1), [b"a", b"b", b"x", b"c"])
    expect([r.lpop(typed("l")), r.rpop(typed("l"), 2)], [b"a", [b"c", b"x"]])
    expect(r.lpos(typed("l"), "b"), 0)
    expect_error(ResponseError, ["wrongtype", "wrong kind"], lambda: r.sadd(typed("l"), "x"))
    expect(r.type(typed("l")), b"list")


def typed_pipeline(r):
    r.delete(typed("p"))
    with r.pipeline(transaction=False) as pipeline:
        for i in range(500):
            pipeline.sadd(typed("p"), i)
            pipeline.scard(typed("p"))
        answers = pipeline.execute()
    expect(answers, [x for i in range(500) for x in (1, i + 1)])


def consistency(r):
    key = PREFIX + "levels"
    expect(r.execute_command("SET", key, "v", "W", "ALL") in (True, b"OK"), True)
    expect(r.execute_command("GET", key, "R", "1"), b"v")
    expect(r.execute_command("GET", key, "R", "QUORUM"), b"v")
    expect_error(ResponseError, ["r"], lambda: r.execute_command("GET", key, "R", "1000"))


def flush(r):
    r.set(PREFIX + "last", "v")
    expect(honoured(r.flushall), True)
    expect(r.get(PREFIX + "last"), None)
    expect(r.dbsize(), 0)


def main():
    print(f"redis-py {redis.__version__} against {HOST}:{PORT}")
    with_client = [
        connection, about, settings, strings, binary, several, expiry, expire_later, keep_ttl,
        conditional, set_get, append, getdel, pipelines, failing_pipeline, scanning, errors,
        cluster_commands,
    ]
    with_protocol = [hello, authentication, protocol_error, threads, asynchronous, cluster_client]
    if not REFERENCE:
        keyspace(connect(2))
    with_client += [counters, sets, hashes, sorted_sets, lists, typed_pipeline]
    for protocol in (2, 3):
        for body in with_client + ([] if REFERENCE else [consistency]):
            check(f"RESP{protocol} {body.__name__}", body, connect(protocol))
        for body in with_protocol:
            check(f"RESP{protocol} {body.__name__}", body, protocol)
    check("RESP3 flush", flush, connect(3))
    print(f"{failed} checks failed" if failed else "all checks passed")
    sys.exit(1 if failed else 0)


main()
