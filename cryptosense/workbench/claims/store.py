"""Claims about what lies in the store, and about replies that it gave and nobody got."""

from cryptosense.workbench.claims.admissions import declared_limit, never_denied_with_room
from cryptosense.workbench.claims.claim import Checker, Finding, undecided
from cryptosense.workbench.claims.reading import acquitted, admitted, convicted, denied, nothing_to_judge, select, told
from cryptosense.workbench.history import History
from cryptosense.workbench.verdicts import Verdict


def foreign_entry_is_a_miss(*, phase: str) -> Checker:
    """Reads that carry `sent.planted` found foreign content at their entry: the first must be a miss, none may fail,
    and each brings rows.
    """

    def check(history: History) -> Finding:
        reads = [read for read in select(history, "tokens.read", phase=phase) if read.sent.get("planted")]
        planted = history.observations("store.planted", phase=phase)
        if not reads:
            return nothing_to_judge(history, phase, "read of a planted entry", expected=0)
        if not planted or planted[-1].value == 0:
            return undecided("nothing could be planted: the list left no string behind", expected=0)
        wrong = [
            read
            for place, read in enumerate(reads)
            if read.status != 200 or read.got.get("as_of") is None or (place == 0 and read.got.get("x_cache") == "hit")
        ]
        if wrong:
            reason = (
                f"{told(wrong[0])}: what lay at the key was not an entry, and it was served or failed the request "
                "instead of being a miss; the usual cause is that what is read from the cache is not checked"
            )
            return convicted(reason, wrong[:1], expected=0, observed=len(wrong), unit="answers", samples=len(reads))
        return acquitted(
            f"{len(reads)} reads of an entry that was overwritten brought rows, the first as a miss",
            expected=0,
            observed=0,
            unit="answers",
            samples=len(reads),
        )

    return check


def foreign_limiter_key_denies_nobody(*, phase: str) -> Checker:
    """Probes that carry `sent.planted` found foreign content at their client's key: none is denied, none fails."""

    def check(history: History) -> Finding:
        probes = [probe for probe in select(history, "limit.probe", phase=phase) if probe.sent.get("planted")]
        planted = history.observations("store.planted", phase=phase)
        if not probes:
            return nothing_to_judge(history, phase, "probe of a planted key", expected=0)
        if not planted or planted[-1].value == 0:
            return undecided("nothing could be planted: the limiter left no key behind", expected=0)
        wrong = [probe for probe in probes if not admitted(probe)]
        if wrong:
            reason = f"{told(wrong[0])}: the script could not read the key, which is no reason to deny or to fail"
            return convicted(reason, wrong[:1], expected=0, observed=len(wrong), unit="answers", samples=len(probes))
        reason = f"{len(probes)} requests of a client whose limiter key was overwritten were neither denied nor failed"
        return acquitted(reason, expected=0, observed=0, unit="answers", samples=len(probes))

    return check


def unlinks(*, phase: str) -> Checker:
    """Between the first and the last reading of `store.calls` there were UNLINKs and no DEL."""

    def check(history: History) -> Finding:
        counts = {
            command: [reading.value for reading in history.observations("store.calls", command=command, phase=phase)]
            for command in ("del", "unlink")
        }
        if min(len(readings) for readings in counts.values()) < 2:
            return nothing_to_judge(history, phase, "count of commands", expected=0)
        spent = {command: readings[-1] - readings[0] for command, readings in counts.items()}
        if not any(spent.values()):
            return undecided("nothing was dropped", expected=0)
        blocked = spent["del"] > 0 or spent["unlink"] == 0
        return Finding(
            Verdict.VIOLATED if blocked else Verdict.HOLDS,
            expected=0,
            observed=spent["del"],
            unit="DEL commands",
            samples=int(sum(spent.values())),
            reason=f"dropping every list took {spent['unlink']:g} UNLINK and {spent['del']:g} DEL"
            + ("; DEL frees large values while every other client waits" if blocked else ""),
        )

    return check


def lost_replies_count_once(policy: str, *, phase: str) -> Checker:
    """No denial while the window certainly has room, although replies of the store were lost after it had decided."""
    room = never_denied_with_room(policy, phase=phase)

    def check(history: History) -> Finding:
        lost = history.observations("store.replies_lost", phase=phase)
        if not lost:
            return nothing_to_judge(history, phase, "lost reply", expected=0)
        if lost[-1].value == 0:
            return undecided("no reply was lost", expected=0)
        probes = select(history, "limit.probe", phase=phase)
        if any(map(denied, probes)):
            return room(history)
        unclear = [probe for probe in probes if not admitted(probe)]
        if unclear:
            return undecided(f"{told(unclear[0])}, so the budget was not spent", expected=0, samples=len(probes))
        limit = declared_limit(history, policy, phase)
        if limit is None or len(probes) < limit.limit:
            return undecided(f"only {len(probes)} were asked for, which is no whole budget", samples=len(probes))
        return acquitted(
            f"the whole budget was admitted, although {lost[-1].value:g} replies were lost",
            expected=0,
            observed=0,
            unit="denials",
            samples=len(probes),
        )

    return check
