// One line of usage a command; commands without arguments have none.
extension CommandUsage {
    static let lines: [(CommandName, StaticString)] =
        introspection + plain + collections + quorate

    private static let introspection: [(CommandName, StaticString)] = [
        (.ping, "[ message ]"),
        (.echo, "message"),
        (.select, "index"),
        (.auth, "[ username ] password"),
        (.hello, "[ protover [ AUTH username password ] [ SETNAME clientname ] ]"),
        (
            .client,
            """
            ( GETNAME | ID | INFO | LIST [ TYPE client-type | ID client-id ... ] | \
            SETNAME connection-name | SETINFO attribute value | REPLY mode | \
            NO-EVICT mode | NO-TOUCH mode )
            """
        ),
        (.info, "[ section ... ]"),
        (
            .command,
            """
            [ COUNT | DOCS [ command-name ... ] | GETKEYS command [ argument ... ] \
            | INFO [ command-name ... ] | LIST [ FILTERBY filter value ] ]
            """
        ),
        (.config, "( GET parameter ... | RESETSTAT | SET parameter value ... )"),
        (.flushall, "[ ASYNC | SYNC ]"),
        (.flushdb, "[ ASYNC | SYNC ]"),
        (.debug, "( CUT node milliseconds [ IN | OUT ] | LOSE node milliseconds permille | HEAL )"),
        (.wait, "numreplicas timeout"),
        (
            .cluster,
            """
            ( SLOTS | SHARDS | NODES | INFO | MYID | MYSHARDID | KEYSLOT key | \
            REPLICAS id | SLAVES id | COUNTKEYSINSLOT slot | GETKEYSINSLOT slot count | \
            FORGET node [ FORCE ] | READMIT node | REFILL [ WITHOUT node ] )
            """
        ),
        (.watch, "key ..."),
    ]

    private static let plain: [(CommandName, StaticString)] = [
        (.get, "key"),
        (
            .set,
            """
            key value [ NX | XX ] [ GET ] [ EX seconds | PX milliseconds | EXAT \
            unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL ]
            """
        ),
        (.setnx, "key value"),
        (.setex, "key seconds value"),
        (.psetex, "key milliseconds value"),
        (.getset, "key value"),
        (
            .getex,
            """
            key [ EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT \
            unix-time-milliseconds | PERSIST ]
            """
        ),
        (.getdel, "key"),
        (.mget, "key ..."),
        (.mset, "( key value ) ..."),
        (.append, "key value"),
        (.strlen, "key"),
        (.incr, "key"),
        (.decr, "key"),
        (.incrby, "key increment"),
        (.decrby, "key increment"),
        (.incrbyfloat, "key increment"),
        (.del, "key ..."),
        (.unlink, "key ..."),
        (.exists, "key ..."),
        (.touch, "key ..."),
        (.type, "key"),
        (.scan, "cursor [ MATCH pattern ] [ COUNT count ] [ TYPE type ]"),
        (.keys, "pattern"),
        (.ttl, "key"),
        (.pttl, "key"),
        (.expire, "key seconds [ NX | XX | GT | LT ]"),
        (.pexpire, "key milliseconds [ NX | XX | GT | LT ]"),
        (.expireat, "key unix-time-seconds [ NX | XX | GT | LT ]"),
        (.pexpireat, "key unix-time-milliseconds [ NX | XX | GT | LT ]"),
        (.expiretime, "key"),
        (.pexpiretime, "key"),
        (.persist, "key"),
    ]

    private static let collections: [(CommandName, StaticString)] = [
        (.sunion, "key ..."),
        (.sinter, "key ..."),
        (.sdiff, "key ..."),
        (.smembers, "key"),
        (.scard, "key"),
        (.hgetall, "key"),
        (.hlen, "key"),
        (.hkeys, "key"),
        (.hvals, "key"),
        (.zcard, "key"),
        (.llen, "key"),
        (.sadd, "key member ..."),
        (.srem, "key member ..."),
        (.smismember, "key member ..."),
        (.sismember, "key member"),
        (.zscore, "key member"),
        (.zmscore, "key member ..."),
        (.zrem, "key member ..."),
        (.spop, "key [ count ]"),
        (.srandmember, "key [ count ]"),
        (.zpopmin, "key [ count ]"),
        (.zpopmax, "key [ count ]"),
        (.lpop, "key [ count ]"),
        (.rpop, "key [ count ]"),
        (.sintercard, "numkeys key ... [ LIMIT limit ]"),
        (.smove, "source destination member"),
        (.sscan, "key cursor [ MATCH pattern ] [ COUNT count ]"),
        (.zscan, "key cursor [ MATCH pattern ] [ COUNT count ]"),
        (.hscan, "key cursor [ MATCH pattern ] [ COUNT count ]"),
        (.hset, "key ( field value ) ..."),
        (.hmset, "key ( field value ) ..."),
        (.hsetnx, "key field value"),
        (.hget, "key field"),
        (.hexists, "key field"),
        (.hstrlen, "key field"),
        (.hmget, "key field ..."),
        (.hdel, "key field ..."),
        (.hincrby, "key field increment"),
        (.hincrbyfloat, "key field increment"),
        (.hrandfield, "key [ count [ WITHVALUES ] ]"),
        (.zadd, "key [ NX | XX ] [ GT | LT ] [ CH ] [ INCR ] ( score member ) ..."),
        (
            .zrange,
            """
            key start stop [ BYSCORE | BYLEX ] [ REV ] [ LIMIT ( offset count ) ] \
            [ WITHSCORES ]
            """
        ),
        (.zrevrange, "key start stop [ WITHSCORES ]"),
        (.zrangebyscore, "key min max [ WITHSCORES ] [ LIMIT ( offset count ) ]"),
        (.zrevrangebyscore, "key max min [ WITHSCORES ] [ LIMIT ( offset count ) ]"),
        (.zrank, "key member"),
        (.zrevrank, "key member"),
        (.zincrby, "key increment member"),
        (.zcount, "key min max"),
        (.lpush, "key element ..."),
        (.rpush, "key element ..."),
        (.lpushx, "key element ..."),
        (.rpushx, "key element ..."),
        (.lrange, "key start stop"),
        (.ltrim, "key start stop"),
        (.lindex, "key index"),
        (.lset, "key index element"),
        (.linsert, "key ( BEFORE | AFTER ) pivot element"),
        (.lrem, "key count element"),
        (.lpos, "key element [ RANK rank ] [ COUNT count ] [ MAXLEN maxlen ]"),
    ]

    private static let quorate: [(CommandName, StaticString)] = [
        (.qget, "key"),
        (
            .qset,
            """
            key value [ CONTEXT context ] [ EX seconds | PX milliseconds | EXAT \
            unix-time-seconds | PXAT unix-time-milliseconds ]
            """
        ),
        (.qdel, "key [ CONTEXT context ]"),
        (.qflag, "key [ ENABLE | DISABLE ]"),
        (
            .qbound,
            """
            ( CREATE key value [ MIN bound ] | GET key | INCR key n | DECR key n | \
            RIGHTS key | GRANT key n NODE node )
            """
        ),
        (.idempotency, "id command key [ argument ... ]"),
        (
            .keyspace,
            """
            ( LIST | GET name | CREATE name [ setting ... ] | ALTER name setting \
            ... | DROP name )
            """
        ),
        (.consistency, "[ RESET | options ... ]"),
        (.receipt, "( ON | OFF | LAST )"),
        (.session, "[ ON [ guarantee ... ] | OFF | TOKEN | USE token ]"),
    ]
}
