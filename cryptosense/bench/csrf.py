"""CSRF: validate and rotate beside the plan's GET + compare + SET, and how many replays of one token pass."""

import asyncio
import secrets

from cryptosense.bench import peers
from cryptosense.bench.bench import Bench
from cryptosense.bench.race import Contender, race, ratio
from cryptosense.bench.rows import OURS, Entry, Goal, Row, exact

TTL_MS = 86_400_000
REPLAYS = 64
SESSIONS = 5_000
"""So many that a session rotates about once within the grace, as a person's does."""


async def csrf_rows(bench: Bench) -> list[Row]:
    """Speed against GET + compare through redis-py, and replays accepted of 64 at once without grace."""
    plan_tokens = {peers.client_of(number): secrets.token_hex(32) for number in range(peers.CLIENTS)}
    for client, token in plan_tokens.items():
        await bench.server.set(f"plan:csrf:{client}", token)
    sessions = [f"session-{number}" for number in range(SESSIONS)]
    current = dict(zip(sessions, await asyncio.gather(*(_first(bench, name) for name in sessions)), strict=True))

    async def ours(number: int) -> object:
        session = sessions[number % SESSIONS]
        rotation = await bench.state.csrf.compare_and_rotate(
            session, current[session], secrets.token_hex(32), ttl_ms=TTL_MS, grace_ms=5_000
        )
        if rotation.token is not None:
            current[session] = rotation.token
        return rotation

    async def get_and_compare(number: int) -> object:
        client = peers.client_of(number)
        return secrets.compare_digest(await bench.server.get(f"plan:csrf:{client}"), plan_tokens[client].encode())

    contenders = [
        Contender("GET + compare", get_and_compare, "does not rotate"),
        Contender(OURS, ours, "atomic, one round trip"),
        Contender("plan's GET and SET", peers.plan_csrf(bench.server, plan_tokens), "two round trips and a gap"),
    ]
    laps = await race(contenders, tasks=64, calls=bench.calls, rounds=bench.rounds)
    floor = [lap.wall for lap in laps[contenders[0].name]]
    entries = [
        Entry(contender.name, ratio([lap.wall for lap in laps[contender.name]], floor), contender.exactness)
        for contender in contenders[1:]
    ]
    return [
        Row("csrf-64", "CSRF validate and rotate, 64 tasks", "× GET + compare", entries, Goal(0.5)),
        await _replay_row(bench),
    ]


async def _first(bench: Bench, client: str) -> str:
    return await bench.state.csrf.current(client, secrets.token_hex(32), ttl_ms=TTL_MS)


async def _replay_row(bench: Bench) -> Row:
    token = await _first(bench, "replayed")
    answers = await asyncio.gather(
        *(
            bench.state.csrf.compare_and_rotate("replayed", token, secrets.token_hex(32), ttl_ms=TTL_MS, grace_ms=0)
            for _ in range(REPLAYS)
        )
    )
    accepted = sum(answer.accepted for answer in answers)
    return Row(
        "csrf-replays", f"replays accepted of {REPLAYS} at once", "accepted", [Entry(OURS, exact(accepted))], Goal(1)
    )
