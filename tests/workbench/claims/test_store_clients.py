"""Checkers of what the store tells of its clients, on histories written by hand."""

import pytest

from cryptosense.workbench.claims.store_clients import keys_carry_one_prefix, one_client_per_process
from cryptosense.workbench.verdicts import Verdict

SHARED = one_client_per_process(phase="p", per_instance=8)
PREFIX = keys_carry_one_prefix(phase="p")


@pytest.mark.parametrize(
    ("connections", "accepted", "requests", "verdict"),
    [
        ({"redis-py": 6}, 10, 100, Verdict.HOLDS),
        ({"redis-py": 200}, 300, 100, Verdict.VIOLATED),
        ({"ioredis": 3}, 10, 100, Verdict.VIOLATED),
        ({"redis-py": 6}, 90, 100, Verdict.VIOLATED),  # they come and go with the requests
        ({"redis-py": 6}, 10, 40, Verdict.UNDECIDED),
        ({"redis-py": 6}, None, 100, Verdict.UNDECIDED),
        ({"none": 3}, 10, 100, Verdict.VIOLATED),
        ({"untold": 6}, 10, 100, Verdict.UNDECIDED),
        ({"untold": 200}, 300, 100, Verdict.VIOLATED),
        ({"untold": 6}, 90, 100, Verdict.VIOLATED),
    ],
)
def test_few_connections_of_the_driver_hold_and_one_a_request_convicts(
    written, connections, accepted, requests, verdict
):
    for number in range(requests):
        written.op("csrf.post", number, number + 0.1, 201)
    written.op("csrf.post", 0, 1, None)
    for library, count in connections.items():
        written.seen("store.connections", count, library=library, phase="p")
    written.seen("store.instances", 3, phase="p")
    if accepted is not None:
        written.seen("store.accepted", accepted, phase="p")
    assert written.judged(SHARED).verdict is verdict


@pytest.mark.parametrize(
    ("spaces", "flushes", "verdict"),
    [(("cs",), 0, Verdict.HOLDS), (("cs", "csrf"), 0, Verdict.VIOLATED), (("cs",), 1, Verdict.VIOLATED)],
)
def test_data_1_keys_of_two_prefixes_and_a_flush_convict(written, spaces, flushes, verdict):
    for space in spaces:
        written.seen("store.keyspace", 40, space=space, phase="p")
    written.seen("store.flushes", flushes, phase="p")
    finding = written.judged(PREFIX)
    assert (finding.verdict, finding.samples) == (verdict, 40 * len(spaces))


@pytest.mark.parametrize("checker", [SHARED, PREFIX])
def test_nothing_recorded_is_undecided(written, checker):
    assert written.judged(checker).verdict is Verdict.UNDECIDED
