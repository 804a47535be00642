"""Judges the facts: one pure function a check, each with the remedy that its owner can apply."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from cryptosense.workbench.claims.claim import Finding, undecided
from cryptosense.workbench.preflight.facts import Facts, NodeFacts
from cryptosense.workbench.topology.sentinel import DOWN_AFTER_MS
from cryptosense.workbench.verdicts import Verdict

OLDEST_REDIS = (7, 0)
HEADROOM = 0.75
BIG_KEY_BYTES = 1_000_000
SLOTS = 16_384
STATE_BUDGET_MS = 250.0
PING_SHARE_OF_BUDGET = 0.1


@dataclass(frozen=True, slots=True)
class Examined:
    """A check's sentence, what was found, and what to do where it does not hold."""

    id: str
    statement: str
    remedy: str
    finding: Finding


Check = Callable[[Facts], Finding]


def examine(facts: Facts) -> list[Examined]:
    """Every check on the facts, in the order in which an operator would mend things."""
    return [Examined(name, statement, remedy, check(facts)) for name, statement, remedy, check in _CHECKS]


def _holds_if(ok: bool, expected: Any, observed: Any, reason: str, *, unit: str = "", samples: int = 1) -> Finding:
    return Finding(Verdict.HOLDS if ok else Verdict.VIOLATED, expected, observed, unit, samples, reason)


def _not_seen(facts: Facts, command: str) -> Finding:
    said = facts.denied.get(command, "the server did not say")
    return undecided(f"not allowed to see it: {said}. Permit {command} to this account to have it judged")


def _per_node(facts: Facts, command: str, judge: Callable[[NodeFacts], Finding | None]) -> Finding:
    """The worst finding of all primaries; None from a node means that it did not tell."""
    findings = [judge(node) for node in facts.nodes]
    seen = [finding for finding in findings if finding is not None]
    if len(seen) < len(findings) or not seen:
        return _not_seen(facts, command)
    return next((finding for finding in seen if finding.verdict is Verdict.VIOLATED), seen[0])


def _version(facts: Facts) -> Finding:
    def judge(node: NodeFacts) -> Finding | None:
        text = node.info.get("redis_version")
        if text is None:
            return None
        number = tuple(int(part) for part in str(text).split(".")[:2])
        name = f"Valkey {node.info['valkey_version']}" if "valkey_version" in node.info else f"Redis {text}"
        return _holds_if(number >= OLDEST_REDIS, "Redis 7.0, or Valkey", name, f"{node.name} runs {name}")

    return _per_node(facts, "INFO", judge)


def _persistence(facts: Facts) -> Finding:
    def judge(node: NodeFacts) -> Finding | None:
        if "aof_enabled" not in node.info:
            return None
        appends = bool(int(node.info["aof_enabled"]))
        snapshots = node.config.get("save")
        if not appends and snapshots is None:
            return None
        broken = [
            name
            for name in ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status")
            if node.info.get(name, "ok") != "ok"
        ]
        if broken:
            return _holds_if(False, "ok", ", ".join(broken), f"{node.name} reports a failed write to disk")
        kept = f"append-only file, fsync {node.config.get('appendfsync', 'unknown')}" if appends else "snapshots"
        observed = kept if appends or snapshots else "none"
        return _holds_if(
            bool(appends or snapshots),
            "append-only file or snapshots",
            observed,
            f"persistence of {node.name}: {observed}" + ("" if appends else "; what came after the last one is lost"),
        )

    return _per_node(facts, "CONFIG GET", judge)


def _policy(facts: Facts) -> Finding:
    def judge(node: NodeFacts) -> Finding | None:
        policy = node.info.get("maxmemory_policy") or node.config.get("maxmemory-policy")
        if policy is None:
            return None
        return _holds_if(
            policy == "noeviction",
            "noeviction",
            policy,
            f"under memory pressure {node.name} "
            + ("refuses writes" if policy == "noeviction" else "drops tokens and counters along with the cache"),
        )

    return _per_node(facts, "INFO", judge)


def _headroom(facts: Facts) -> Finding:
    def judge(node: NodeFacts) -> Finding | None:
        used = node.info.get("used_memory")
        ceiling = int(node.info.get("maxmemory", 0)) or int(node.info.get("total_system_memory", 0))
        if used is None or not ceiling:
            return None
        share = int(used) / ceiling
        of = "maxmemory" if int(node.info.get("maxmemory", 0)) else "the machine's memory (maxmemory is not set)"
        return _holds_if(
            share <= HEADROOM, HEADROOM, round(share, 3), f"{node.name} uses {share:.0%} of {of}", unit="share"
        )

    return _per_node(facts, "INFO", judge)


def _replicas(facts: Facts) -> Finding:
    if facts.cluster is not None:
        alone = facts.cluster.primaries_without_replica
        return _holds_if(
            not alone,
            0,
            len(alone),
            f"primaries without a connected replica: {', '.join(alone) or 'none'}",
            unit="primaries",
            samples=facts.cluster.primaries,
        )

    def judge(node: NodeFacts) -> Finding | None:
        if "connected_slaves" not in node.info:
            return None
        count = int(node.info["connected_slaves"])
        return _holds_if(count >= 1, 1, count, f"{node.name} has {count} connected replicas", unit="replicas")

    return _per_node(facts, "INFO", judge)


def _min_replicas(facts: Facts) -> Finding:
    if facts.kind == "standalone":
        return _holds_if(True, "only with replicas", "standalone", "a single server has no replica to wait for")

    def judge(node: NodeFacts) -> Finding | None:
        value = node.config.get("min-replicas-to-write")
        if value is None:
            return None
        return _holds_if(
            int(value) >= 1,
            1,
            int(value),
            f"{node.name}: min-replicas-to-write {value}; at 0 a cut-off primary accepts writes that are lost later",
        )

    return _per_node(facts, "CONFIG GET", judge)


def _quorum(facts: Facts) -> Finding:
    if facts.kind == "sentinel":
        if facts.sentinels is None:
            return undecided("no sentinel told its quorum")
        enough = facts.sentinels.known >= 3 and (facts.sentinels.quorum or "").upper().startswith("OK")
        return _holds_if(
            enough,
            "3 sentinels, quorum reachable",
            f"{facts.sentinels.known} sentinels",
            f"sentinels say: {facts.sentinels.quorum}",
            samples=facts.sentinels.known,
        )
    if facts.cluster is not None:
        whole = facts.cluster.state == "ok" and facts.cluster.slots_ok == SLOTS
        return _holds_if(
            whole, SLOTS, facts.cluster.slots_ok, f"cluster state {facts.cluster.state}", unit="slots", samples=SLOTS
        )
    return _holds_if(True, "not needed", "standalone", "a single server elects nobody")


def _patience(facts: Facts) -> Finding:
    if facts.kind != "sentinel":
        return _holds_if(True, "only with Sentinel", facts.kind, "no sentinel decides here")
    patience = facts.sentinels.down_after_ms if facts.sentinels is not None else None
    if patience is None:
        return undecided("the sentinel did not tell down-after-milliseconds: permit SENTINEL MASTER")
    return _holds_if(
        patience >= DOWN_AFTER_MS,
        f"at least {DOWN_AFTER_MS}",
        patience,
        f"down-after-milliseconds is {patience}; a sentinel connects to an instance at most once a second, so with "
        "less it calls a new primary down before it has called on it, and one failover sets off the next",
        unit="ms",
    )


def _encryption(facts: Facts) -> Finding:
    where = "over loopback" if facts.loopback else "over a network"
    how = "TLS" if facts.tls else "clear text"
    return _holds_if(
        facts.tls or facts.loopback, "TLS, or loopback", f"{how} {where}", f"the connection is {how} {where}"
    )


def _password(facts: Facts) -> Finding:
    if facts.account.flags is None:
        if facts.password_given:
            return undecided("a password was given, but whether one is needed may not be seen: permit ACL GETUSER")
        return _holds_if(facts.loopback, "a password", "none was needed", "the server let us in without a password")
    needed = "nopass" not in facts.account.flags
    return _holds_if(
        needed or facts.loopback,
        "a password, or loopback only",
        "password" if needed else "nopass",
        f"account {facts.account.name} " + ("needs a password" if needed else "needs no password"),
    )


def _least_privilege(facts: Facts) -> Finding:
    if facts.account.commands is None or facts.account.keys is None:
        return _not_seen(facts, "ACL GETUSER")
    everything = "+@all" in facts.account.commands and "~*" in facts.account.keys
    return _holds_if(
        not everything or facts.loopback,
        "its own keys and commands",
        "everything" if everything else "restricted",
        f"account {facts.account.name} may use " + ("every command on every key" if everything else "a part"),
    )


def _timeouts(facts: Facts) -> Finding:
    def judge(node: NodeFacts) -> Finding | None:
        if "timeout" not in node.config or "tcp-keepalive" not in node.config:
            return None
        idle, keepalive = int(node.config["timeout"]), int(node.config["tcp-keepalive"])
        return _holds_if(
            (idle == 0 or idle >= 60) and 0 < keepalive <= 300,
            "timeout 0 or at least 60, tcp-keepalive 1 to 300",
            f"timeout {idle}, tcp-keepalive {keepalive}",
            f"{node.name} {f'drops idle clients after {idle} s' if idle else 'never drops idle clients'} and "
            f"{f'notices dead ones after {keepalive} s' if keepalive else 'never notices dead ones'}",
            unit="s",
        )

    return _per_node(facts, "CONFIG GET", judge)


def _clients(facts: Facts) -> Finding:
    def judge(node: NodeFacts) -> Finding | None:
        ceiling = node.info.get("maxclients") or node.config.get("maxclients")
        if ceiling is None or "connected_clients" not in node.info:
            return None
        share = int(node.info["connected_clients"]) / int(ceiling)
        return _holds_if(
            share <= HEADROOM, HEADROOM, round(share, 3), f"{node.name} has {share:.0%} of its clients", unit="share"
        )

    return _per_node(facts, "INFO", judge)


def _expiry(facts: Facts) -> Finding:
    if facts.keys is None:
        return _not_seen(facts, "SCAN")
    if "PTTL" in facts.denied:
        return _not_seen(facts, "PTTL")
    example = f", for example {facts.keys.example_without_expiry!r}" if facts.keys.without_expiry else ""
    return _holds_if(
        facts.keys.without_expiry == 0,
        0,
        facts.keys.without_expiry,
        f"{facts.keys.without_expiry} of {facts.keys.scanned} keys looked at have no expiry{example}",
        unit="keys",
        samples=max(facts.keys.scanned, 1),
    )


def _big_keys(facts: Facts) -> Finding:
    if facts.keys is None:
        return _not_seen(facts, "SCAN")
    if "MEMORY USAGE" in facts.denied:
        return _not_seen(facts, "MEMORY USAGE")
    largest = facts.keys.largest_bytes or 0
    return _holds_if(
        largest <= BIG_KEY_BYTES,
        BIG_KEY_BYTES,
        largest,
        f"the largest of {facts.keys.scanned} keys looked at has {largest} bytes"
        + (f" ({facts.keys.largest_key!r})" if largest > BIG_KEY_BYTES else ""),
        unit="bytes",
        samples=max(facts.keys.scanned, 1),
    )


def _latency(facts: Facts) -> Finding:
    if not facts.pings_ms:
        return _not_seen(facts, "PING")
    bound = STATE_BUDGET_MS * PING_SHARE_OF_BUDGET
    p50, p99 = (round(float(value), 3) for value in np.percentile(facts.pings_ms, [50, 99]))
    return _holds_if(
        p99 <= bound,
        bound,
        p99,
        f"a PING from here takes {p50} ms (p50), {p99} ms (p99); a request's budget is {STATE_BUDGET_MS:.0f} ms",
        unit="ms",
        samples=len(facts.pings_ms),
    )


_CHECKS: tuple[tuple[str, str, str, Check], ...] = (
    ("version", "The server is recent enough.", "Upgrade to Redis 7.0 or later, or to Valkey.", _version),
    (
        "persistence",
        "State survives a restart of the server.",
        "Set `appendonly yes` with `appendfsync everysec`, and see to the disk where a write failed.",
        _persistence,
    ),
    (
        "eviction",
        "Nothing is evicted under memory pressure.",
        "Set `maxmemory-policy noeviction`, or give the cache a server of its own.",
        _policy,
    ),
    ("memory", "There is memory left.", "Raise `maxmemory`, move to a larger server, or shard.", _headroom),
    (
        "replicas",
        "A replica stands ready.",
        "Add a replica per primary, and Sentinel or Cluster to promote it.",
        _replicas,
    ),
    (
        "min-replicas",
        "A primary that is cut off stops accepting writes.",
        "Set `min-replicas-to-write 1` and `min-replicas-max-lag 10` on the primary.",
        _min_replicas,
    ),
    (
        "coverage",
        "Failover can happen: the sentinels have their quorum, or the cluster covers every slot.",
        "Run three sentinels on three machines, or mend the cluster with `CLUSTER SHARDS` in view.",
        _quorum,
    ),
    (
        "patience",
        "The sentinels give a new primary time to be called on.",
        f"Set `sentinel down-after-milliseconds` to {DOWN_AFTER_MS} or more.",
        _patience,
    ),
    ("encryption", "Tokens do not cross a network in the clear.", "Use `rediss://` (REDIS_TLS=true).", _encryption),
    ("password", "The account needs a password.", "Give it one with `ACL SETUSER name >password`.", _password),
    (
        "least-privilege",
        "The account may do what the service needs and no more.",
        "Restrict it to `~cs:* &cs:*` and to +@read +@write +@scripting +@pubsub +@connection -@dangerous +info.",
        _least_privilege,
    ),
    (
        "timeouts",
        "Idle connections live and dead ones are noticed.",
        "Set `timeout 0` and `tcp-keepalive 300` or less.",
        _timeouts,
    ),
    ("clients", "There is room for more clients.", "Raise `maxclients` and the limit of open files.", _clients),
    (
        "expiry",
        "Every key expires.",
        "Find who writes keys without expiry; a shared server deserves a database or a server of its own.",
        _expiry,
    ),
    ("big-keys", "No key is big enough to stall the others.", "Split it, or move it elsewhere.", _big_keys),
    (
        "latency",
        "The server is near enough for the request's budget.",
        "Move the service next to the server, look at SLOWLOG and LATENCY DOCTOR, or raise STATE_BUDGET_MS.",
        _latency,
    ),
)
