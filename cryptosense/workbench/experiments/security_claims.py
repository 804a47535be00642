"""What `security` claims: each attack, what it must be answered with, and what its victim must still have."""

from collections.abc import Sequence
from dataclasses import dataclass

from cryptosense.workbench.claims import admissions, cache, csrf, refusals
from cryptosense.workbench.claims.attempted import (
    attempted,
    clocks_apart,
    limit_exceeded,
    limit_spent,
    spared_by_names,
)
from cryptosense.workbench.claims.claim import Checker, Claim
from cryptosense.workbench.experiments.promise import told_to_the_end

BYPASS = "improvement:rate-limit-bypass"
_NOT_DENIED = frozenset(range(100, 500)) - {429}
_LIMITED = frozenset({429})
"""Says that the limiter came first, and nothing of what would have become of the request."""
_UNREADABLE = frozenset({400, 413, 415, 422})


@dataclass(frozen=True, slots=True)
class Attack:
    """A claim, and the phase of the attack that it judges (none: all of them)."""

    claim: Claim
    phase: str = ""


def security_claims() -> Sequence[Attack]:
    """Every claim of the experiment, in the order of the report."""
    return (*_addresses(), *_tokens(), *_pages(), *_input(), *_all())


def _attack(name: str, phase: str, statement: str, source: Sequence[str], check: Checker) -> Attack:
    return Attack(Claim(name, statement, tuple(source), told_to_the_end(check, *filter(None, [phase]))), phase)


def _addresses() -> Sequence[Attack]:
    within = (
        (
            "spoofed-address",
            "spoofed address",
            "An address that says each time that it is another gets one budget.",
            ("RATE-6", BYPASS, "checklist:rate-limiting-4"),
        ),
        (
            "proxied-spoof",
            "spoofed through proxy",
            "Behind a trusted proxy only what the proxy saw itself counts, not what the client wrote before it.",
            ("RATE-6", BYPASS),
        ),
        (
            "ipv6-rotation",
            "IPv6 rotation",
            "All addresses of one IPv6 network of 64 bits share one budget.",
            ("RATE-6", BYPASS),
        ),
        (
            "ipv4-in-ipv6",
            "IPv4 in IPv6",
            "An IPv4 address and the same one written in IPv6 share one budget.",
            ("RATE-6", BYPASS),
        ),
    )
    spared = (
        (
            "victim-spared",
            "victim named spared",
            "Naming a victim's address takes nothing from the victim's budget.",
            ("RATE-6",),
            "the victim was denied for what an attacker did in its name; the usual cause is a believed X-Forwarded-For",
            limit_spent("auth", attack="victim named", spared="victim named spared"),
        ),
        (
            "ipv6-neighbours",
            "IPv6 neighbours",
            "Two IPv6 networks have a budget each.",
            ("RATE-6",),
            "it was denied for what another network did; the usual cause is a prefix that is too short, or none",
            limit_exceeded("auth", phase="IPv6 neighbours"),
        ),
    )
    clocks = _attack(
        "clocks-apart",
        "clocks apart",
        "Instances whose clocks are apart admit no more than the limit together: the store's clock decides.",
        ("RATE-5", BYPASS, "checklist:rate-limiting-3"),
        attempted(
            admissions.never_above_limit("strict", phase="clocks apart"), clocks_apart("strict", phase="clocks apart")
        ),
    )
    return (
        *(
            _attack(name, phase, says, why, admissions.never_above_limit("auth", phase=phase))
            for name, phase, says, why in within
        ),
        *(
            _attack(name, phase, says, why, attempted(_not_denied(phase, wrong), tried))
            for name, phase, says, why, wrong, tried in spared
        ),
        clocks,
    )


def _not_denied(phase: str, why_wrong: str) -> Checker:
    return refusals.answered_with(_NOT_DENIED, phase=phase, kinds=("limit.probe",), why_wrong=why_wrong)


def _tokens() -> Sequence[Attack]:
    replay = "token replay"
    return (
        _attack(
            "token-replay",
            replay,
            "Of any number of requests at once with one token, on all instances, one is accepted.",
            ("CSRF-2", "checklist:csrf-4", "checklist:csrf-5"),
            csrf.accepted_once(phase=replay),
        ),
        _attack(
            "token-order",
            replay,
            "Under replay, every answer fits one token that is compared and rotated in one step.",
            ("CSRF-2",),
            csrf.compare_and_rotate(phase=replay),
        ),
        *(
            _attack(
                name,
                phase,
                f"The token of {phase.removesuffix(chr(39) + 's token')} is refused.",
                ("CSRF-3", "checklist:csrf-4"),
                refusals.answered_with(
                    {403},
                    phase=phase,
                    kinds=("attack",),
                    codes={"CSRF_TOKEN_INVALID"},
                    why_wrong="a token that is not this session's was accepted; the usual cause is a token that is "
                    "looked up by itself, and not by the session that presents it",
                ),
            )
            for name, phase in (
                ("token-of-session", "another session's token"),
                ("token-of-user", "another user's token"),
            )
        ),
        _attack(
            "forged-bearer",
            "forged bearers",
            "A bearer that the service did not sign is nobody's.",
            ("AUTH-1",),
            refusals.answered_with(
                {401},
                phase="forged bearers",
                kinds=("attack",),
                why_wrong="a forged bearer was not refused; the usual cause is a signature "
                "that is not checked, or an algorithm that the bearer itself may choose",
            ),
        ),
        _attack(
            "others-portfolio",
            "another's portfolio",
            "A portfolio is there for nobody but its owner.",
            ("AUTH-1",),
            refusals.answered_with(
                {404},
                phase="another's portfolio",
                kinds=("attack",),
                why_wrong="it is another user's portfolio; the usual cause is a lookup by id alone, without its owner",
            ),
        ),
        _attack(
            "owner-spared",
            "another's portfolio spared",
            "The owner still has it.",
            ("AUTH-1",),
            refusals.answered_with(
                {200}, phase="another's portfolio spared", kinds=("portfolios.read",), why_wrong="the owner lost it"
            ),
        ),
    )


def _pages() -> Sequence[Attack]:
    return (
        *(
            _attack(
                name,
                phase,
                says,
                ("CSRF-7",),
                refusals.answered_with(
                    {403},
                    phase=phase,
                    kinds=("attack",),
                    codes={"CROSS_SITE_REQUEST"},
                    why_wrong="another site's page was not refused as such, before any token was looked at",
                ),
            )
            for name, phase, says in (
                (
                    "cross-site",
                    "cross-site request",
                    "A request from another site's page is refused, right token or not.",
                ),
                ("cross-site-fetch", "cross-site fetch", "Another site's page is not given the token."),
            )
        ),
        _attack(
            "cross-site-spared",
            "cross-site request spared",
            "What another site's page tried does not spend the user's token.",
            ("CSRF-7", "CSRF-4"),
            csrf.good_tokens_accepted(phase="cross-site request spared"),
        ),
        _attack(
            "protected-paths",
            "protected paths",
            "No spelling of a protected path, and no other method, gets around the token.",
            ("CSRF-6", "checklist:csrf-2"),
            refusals.answered_with(
                range(300, 500),
                phase="protected paths",
                kinds=("attack",),
                why_wrong="it passed without a token; the usual cause is a guard that goes by the spelling of a path, "
                "where the router does not",
                silent=_LIMITED,
            ),
        ),
        _attack(
            "exempt-paths",
            "exempt paths",
            "A spelling of an exempt path is the route or unknown; it never asks for a session or a token.",
            ("CSRF-6",),
            refusals.answered_with(
                {307, 308, 400, 404, 405, 422, 429},
                phase="exempt paths",
                kinds=("attack",),
                why_wrong="the exemption hangs on how the path is spelled; the usual cause is a list of exempt paths "
                "that is compared as text",
            ),
        ),
    )


def _input() -> Sequence[Attack]:
    return (
        _attack(
            "oversize",
            "oversize",
            "A body beyond the bound is refused for its size, whether that is told or not.",
            ("CSRF-6",),
            refusals.answered_with(
                {400, 413},
                phase="oversize",
                kinds=("attack",),
                why_wrong="it was not refused for its size; the usual cause is a body that is "
                "read whole before anybody asks how long it is",
            ),
        ),
        _attack(
            "oversize-header",
            "oversize header",
            "A header beyond any use is refused, or is no token.",
            ("CSRF-6",),
            refusals.answered_with(
                {400, 403, 413, 431}, phase="oversize header", kinds=("attack",), why_wrong="it was not refused"
            ),
        ),
        _attack(
            "malformed",
            "malformed",
            "A malformed body is refused and breaks nothing.",
            ("CSRF-4",),
            refusals.answered_with(
                _UNREADABLE,
                phase="malformed",
                kinds=("attack",),
                why_wrong="a malformed body was not refused; the usual cause is a "
                "body that is used before its shape is checked",
            ),
        ),
        _attack(
            "names",
            "names as patterns",
            "Patterns and commands as names are names, or refused.",
            ("CACHE-5",),
            refusals.answered_with(
                range(200, 500),
                phase="names as patterns",
                kinds=("attack",),
                why_wrong="a name broke something; the usual cause is a name that becomes part of a key, a pattern or "
                "a command as it was sent",
                silent=_LIMITED,
            ),
        ),
        _attack(
            "names-spared",
            "names as patterns spared",
            "A pattern sent as a coin's name drops nobody's cached list.",
            ("CACHE-5",),
            spared_by_names(
                cache.hits_are_hits(phase="names as patterns spared"),
                attack="names as patterns",
                spared="names as patterns spared",
            ),
        ),
    )


def _all() -> Sequence[Attack]:
    return (
        _attack(
            "honest-refusals",
            "",
            "Every refusal has a declared code, tells when to come back where it should, and shows no insides.",
            ("checklist:testing-1",),
            refusals.refusals_are_honest(kinds=("attack", "auth", "csrf", "limit", "tokens", "portfolios")),
        ),
        _attack(
            "no-server-error",
            "",
            "No attack ended in a 5xx.",
            ("checklist:testing-1",),
            refusals.answered_with(
                range(500), kinds=("attack", "csrf", "limit", "tokens"), why_wrong="it failed", unanswered=True
            ),
        ),
    )
