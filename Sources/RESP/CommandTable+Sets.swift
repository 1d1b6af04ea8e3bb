// Sets and sorted sets; arity, flags and keys are Redis's.
extension CommandTable {
    static let set: [CommandDescription] = [
        .init(
            name: .sadd, text: "sadd", arity: -3,
            flags: [.write, .denyOOM, .fast], keys: .one, group: .set,
            summary: "Adds members to a set and counts the new ones."),
        .init(
            name: .srem, text: "srem", arity: -3,
            flags: [.write, .fast], keys: .one, group: .set,
            summary: "Removes members and counts those that were there."),
        .init(
            name: .sismember, text: "sismember", arity: 3,
            flags: [.readonly, .fast], keys: .one, consistency: .read, group: .set,
            summary: "Whether a set has a member."),
        .init(
            name: .smismember, text: "smismember", arity: -3,
            flags: [.readonly, .fast], keys: .one, group: .set,
            summary: "Whether a set has each of several members."),
        .init(
            name: .smembers, text: "smembers", arity: 2,
            flags: [.readonly], keys: .one, consistency: .read, group: .set,
            summary: "All members of a set."),
        .init(
            name: .scard, text: "scard", arity: 2,
            flags: [.readonly, .fast], keys: .one, consistency: .read, group: .set,
            summary: "Counts the members of a set."),
        .init(
            name: .spop, text: "spop", arity: -2,
            flags: [.write, .fast], keys: .one, consistency: .write, group: .set,
            summary: "Removes random members and answers them."),
        .init(
            name: .srandmember, text: "srandmember", arity: -2,
            flags: [.readonly], keys: .one, consistency: .read, group: .set,
            summary: "Random members; a count below 0 may repeat them."),
        .init(
            name: .sunion, text: "sunion", arity: -2,
            flags: [.readonly], keys: .all, group: .set,
            summary: "Members of any of the sets."),
        .init(
            name: .sinter, text: "sinter", arity: -2,
            flags: [.readonly], keys: .all, group: .set,
            summary: "Members of all of the sets."),
        .init(
            name: .sdiff, text: "sdiff", arity: -2,
            flags: [.readonly], keys: .all, group: .set,
            summary: "Members of the first set and of none of the others."),
        .init(
            name: .sintercard, text: "sintercard", arity: -3,
            flags: [.readonly, .movableKeys], keys: .none, consistency: .read, group: .set,
            summary: "Counts the members of all of the sets, up to a limit."),
        .init(
            name: .smove, text: "smove", arity: 4,
            flags: [.refused, .write, .fast], keys: .two, consistency: .write, group: .set,
            summary: "Moves a member from one set to another."),
        .init(
            name: .sscan, text: "sscan", arity: -3,
            flags: [.readonly], keys: .one, consistency: .read, group: .set,
            summary: "Walks the members of a set, step by step."),
    ]

    static let sortedSet: [CommandDescription] = [
        .init(
            name: .zadd, text: "zadd", arity: -4,
            flags: [.write, .denyOOM, .fast], keys: .one, group: .sortedSet,
            summary: "Adds members to a sorted set or changes their scores."),
        .init(
            name: .zrem, text: "zrem", arity: -3,
            flags: [.write, .fast], keys: .one, group: .sortedSet,
            summary: "Removes members and counts those that were there."),
        .init(
            name: .zscore, text: "zscore", arity: 3,
            flags: [.readonly, .fast], keys: .one, consistency: .read, group: .sortedSet,
            summary: "A member's score."),
        .init(
            name: .zmscore, text: "zmscore", arity: -3,
            flags: [.readonly, .fast], keys: .one, group: .sortedSet,
            summary: "The scores of several members."),
        .init(
            name: .zrange, text: "zrange", arity: -4,
            flags: [.readonly], keys: .one, consistency: .read, group: .sortedSet,
            summary: "Members in a range of ranks, scores or words."),
        .init(
            name: .zrevrange, text: "zrevrange", arity: -4,
            flags: [.readonly], keys: .one, consistency: .read, group: .sortedSet,
            summary: "Members in a range of ranks, highest first."),
        .init(
            name: .zrangebyscore, text: "zrangebyscore", arity: -4,
            flags: [.readonly], keys: .one, consistency: .read, group: .sortedSet,
            summary: "Members in a range of scores."),
        .init(
            name: .zrevrangebyscore, text: "zrevrangebyscore", arity: -4,
            flags: [.readonly], keys: .one, consistency: .read, group: .sortedSet,
            summary: "Members in a range of scores, highest first."),
        .init(
            name: .zrank, text: "zrank", arity: 3,
            flags: [.readonly, .fast], keys: .one, consistency: .read, group: .sortedSet,
            summary: "How many members stand before this one."),
        .init(
            name: .zrevrank, text: "zrevrank", arity: 3,
            flags: [.readonly, .fast], keys: .one, consistency: .read, group: .sortedSet,
            summary: "How many members stand behind this one."),
        .init(
            name: .zincrby, text: "zincrby", arity: 4,
            flags: [.write, .denyOOM, .fast], keys: .one, consistency: .write, group: .sortedSet,
            summary: "Adds a number to a member's score."),
        .init(
            name: .zcard, text: "zcard", arity: 2,
            flags: [.readonly, .fast], keys: .one, consistency: .read, group: .sortedSet,
            summary: "Counts the members of a sorted set."),
        .init(
            name: .zcount, text: "zcount", arity: 4,
            flags: [.readonly, .fast], keys: .one, consistency: .read, group: .sortedSet,
            summary: "Counts the members in a range of scores."),
        .init(
            name: .zpopmin, text: "zpopmin", arity: -2,
            flags: [.write, .fast], keys: .one, consistency: .write, group: .sortedSet,
            summary: "Removes the members with the lowest scores."),
        .init(
            name: .zpopmax, text: "zpopmax", arity: -2,
            flags: [.write, .fast], keys: .one, consistency: .write, group: .sortedSet,
            summary: "Removes the members with the highest scores."),
        .init(
            name: .zscan, text: "zscan", arity: -3,
            flags: [.readonly], keys: .one, consistency: .read, group: .sortedSet,
            summary: "Walks the members of a sorted set, step by step."),
    ]
}
