"""The plan's two lists, in the plan's order and our own words: what was to be verified, and what was to improve.

A claim says with `source` which of these it answers; the report shows each with the claims of the run that did, and
says of the rest that this selection of experiments did not touch them.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ChecklistItem:
    """One box of the plan's verification checklist; `id` is what a claim's `source` holds."""

    id: str
    group: str
    text: str


@dataclass(frozen=True, slots=True)
class Improvement:
    """One of the plan's expected improvements; `promised` is the plan's figure or sentence."""

    id: str
    group: str
    text: str
    promised: str


_CHECKLIST_TEXTS: dict[tuple[str, str], tuple[str, ...]] = {
    ("infrastructure", "Infrastructure"): (
        "The Redis server runs and can be reached",
        "The Redis driver is installed (redis-py here, ioredis in the plan)",
        "Each process has one Redis client and shares it",
        "The health route tells the truth about Redis",
        "The service shuts down gracefully",
    ),
    ("csrf", "CSRF tokens"): (
        "CSRF tokens are a service over shared state",
        "The guard asks that service on every changing request",
        "A signed-in session gets a token",
        "A right token passes and a wrong one does not",
        "An accepted token is replaced, and the caller is told by what",
        "A browser client works by following the successor it is sent",
    ),
    ("rate-limiting", "Rate limiting"): (
        "Rate limits are a service over shared state",
        "The guard asks that service before the work is done",
        "A signed-in user has a budget across all instances",
        "An address has a budget across all instances",
        "The limit headers are right",
    ),
    ("caching", "Caching"): (
        "The cache is a service over shared state",
        "CoinGecko's answers are cached",
        "Portfolio reads are cached",
        "Invalidation takes effect, and stays in effect",
        "Every answer says whether it was a hit or a miss",
    ),
    ("testing", "Testing"): (
        "The promises hold across instances, end to end",
        "They hold under load",
        "Answers got faster",
        "Memory does not leak",
        "A restarted server breaks nothing",
    ),
}

CHECKLIST: tuple[ChecklistItem, ...] = tuple(
    ChecklistItem(f"checklist:{slug}-{number}", group, text)
    for (slug, group), texts in _CHECKLIST_TEXTS.items()
    for number, text in enumerate(texts, start=1)
)

IMPROVEMENTS: tuple[Improvement, ...] = (
    Improvement(
        "improvement:response-time",
        "Performance",
        "Response time of the API on cache hits",
        "from 200-500 ms to 10-50 ms",
    ),
    Improvement("improvement:upstream-calls", "Performance", "CoinGecko calls", "from 60 to 2 per minute"),
    Improvement("improvement:database-queries", "Performance", "Database queries", "70-80 % fewer"),
    Improvement("improvement:restarts", "Reliability", "Server restarts", "no session or token is lost"),
    Improvement("improvement:instances", "Reliability", "Horizontal scaling", "several instances work as one"),
    Improvement("improvement:memory", "Reliability", "Memory over time", "stable, no leak"),
    Improvement("improvement:rate-limit-bypass", "Security", "Rate-limit bypass", "closed by a shared limit"),
    Improvement("improvement:csrf-across-servers", "Security", "CSRF protection", "works across all servers"),
    Improvement("improvement:token-persistence", "Security", "Token persistence", "tokens survive restarts"),
)
