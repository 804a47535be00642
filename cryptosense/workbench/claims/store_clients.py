"""Claims about how a service uses the store, from what the store itself tells.

Observations of the phase: `store.connections` (label `library`: the driver's name, "none" where a client gave none,
`UNTOLD` where the server does not tell), `store.accepted` (connections since the server's start), `store.instances`,
`store.keyspace` (how many keys; label `space`, their first part), `store.flushes`.
"""

from cryptosense.workbench.claims.claim import Checker, Finding, undecided
from cryptosense.workbench.claims.reading import acquitted, convicted, skip_reason
from cryptosense.workbench.history import History

UNTOLD = "untold"
"""Servers before 7.2 do not know their clients' drivers."""


def one_client_per_process(*, phase: str, driver: str = "redis-py", per_instance: int) -> Checker:
    """The services speak to the store through the driver, over few connections each, which all requests share.

    Connections that come and go with each request are few at any moment: `store.accepted` counts all that the server
    ever accepted, and must stay below one for two requests. Few requests show nothing of either.
    """

    def check(history: History) -> Finding:
        connections = {
            reading.labels["library"]: int(reading.value)
            for reading in history.observations("store.connections", phase=phase)
        }
        instances = [int(reading.value) for reading in history.observations("store.instances", phase=phase)]
        requests = sum(operation.status is not None for operation in history.operations())
        accepted = [int(reading.value) for reading in history.observations("store.accepted", phase=phase)]
        if not connections or not instances:
            return undecided(skip_reason(history, phase) or "the store's clients were not looked at")
        untold = set(connections) == {UNTOLD}
        found, bound = connections.get(UNTOLD if untold else driver, 0), per_instance * instances[-1]
        told = ", ".join(f"{count} by {library}" for library, count in sorted(connections.items()))
        unit = f"connections of {driver}"
        if found == 0 or found > bound:
            reason = (
                f"after {requests} requests the store holds connections: {told}; the usual cause is a client that is "
                "made for each request or each service instead of once for the process"
            )
            return convicted(reason, [], expected=f"1 to {bound}", observed=found, unit=unit, samples=requests)
        if not accepted or requests <= 2 * bound:
            return undecided(f"{requests} requests were answered, too few to tell, or connections were not counted")
        if accepted[-1] > requests / 2:
            reason = (
                f"for {requests} requests the store accepted {accepted[-1]} connections: they come and go with requests"
            )
            expected = f"at most {requests // 2}"
            return convicted(reason, [], expected=expected, observed=accepted[-1], unit=unit, samples=requests)
        if untold:
            return undecided(
                f"connections are few and lasting, but this server does not tell whether they are {driver}'s: use one "
                "of version 7.2 or later",
                expected=f"1 to {bound}",
                unit=unit,
                samples=requests,
            )
        reason = (
            f"{requests} requests on {instances[-1]} instances share the connections: {told}; "
            f"{accepted[-1]} were ever accepted"
        )
        return acquitted(reason, expected=f"1 to {bound}", observed=found, unit=unit, samples=requests)

    return check


def keys_carry_one_prefix(*, phase: str) -> Checker:
    """DATA-1: every key begins with the same part, so that a shared server shows whose it is; and nobody flushed."""

    def check(history: History) -> Finding:
        keys = history.observations("store.keyspace", phase=phase)
        spaces = [reading.labels["space"] for reading in keys]
        flushes = [reading.value for reading in history.observations("store.flushes", phase=phase)]
        if not spaces or not flushes:
            return undecided(skip_reason(history, phase) or "the store's keys were not looked at", expected=1)
        unit, samples = "prefixes", int(sum(reading.value for reading in keys))
        if len(spaces) > 1:
            reason = f"keys begin with {', '.join(sorted(spaces)[:5])}: not one prefix that tells whose they are"
            return convicted(reason, [], expected=1, observed=len(spaces), unit=unit, samples=samples)
        if flushes[-1]:
            reason = f"somebody flushed the server {flushes[-1]:.0f} times, with all that others keep there"
            return convicted(reason, [], expected=0, observed=flushes[-1], unit="flushes", samples=samples)
        reason = f"each of {samples} keys begins with {spaces[0]}: and nobody flushed the server"
        return acquitted(reason, expected=1, observed=1, unit=unit, samples=samples)

    return check
