"""The key scheme, whole: what this program writes into Redis, and under which names.

    cs:csrf:{session}                string  current token and the ones it replaced        expires with the token
    cs:rate:log:{client}             string  15 bytes for each admission in the window     expires with the window
    cs:rate:counter:{client}         string  two counters                                  expires after two windows
    cs:rate:gcra:{client}            string  theoretical arrival time, µs                  expires when it has passed
    cs:cache:{space}:e:name          string  a header and the body                         expires after the stale age
    cs:cache:{space}:l:name          string  fence of the one who fetches                  expires with the lease
    cs:cache:{space}:t:tag           zset    names under a tag, by expiry                  expires with its last name
    cs:cache:{space}:g               string  generation, raised when a space is emptied    a day
    cs:cache:wake:{space}:name       channel says that a fetch has ended
    cs:session:{user}:s:session      string  refresh digest and time of opening            expires with the session
    cs:session:{user}:i              zset    the user's sessions, by expiry                expires with its last session
    cs:leader:{task}                 string  who leads                                     expires with the lead

`cs:` stands for the configured prefix, which every key and channel carries. The braces are Redis Cluster's hash tag:
what one script touches has the same tag, so it lies on one shard. Every part that comes from outside is escaped: any
byte of its UTF-8 form but `A-Z a-z 0-9 _ . - @ , :` becomes `%XX`. Nobody can write a brace or a glob, so nobody can
reach another key: what a caller names stands within the braces, or last. A part longer than `LONGEST_PART` is written
as `~` and its SHA-256, which bounds a key's length; an empty one as `~` alone, since empty braces are no hash tag.
"""

import re
from functools import lru_cache
from hashlib import sha256
from urllib.parse import quote, unquote

from cryptosense.errors import ConfigurationError

DEFAULT_PREFIX = "cs:"
LONGEST_PART = 512
_KEPT = "@,:"  # beside letters, digits and `_.-`; quote keeps `~` too, which is the digest's mark here
_PREFIX = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


def checked_prefix(prefix: str) -> str:
    """The prefix itself.

    Raises:
        ConfigurationError: it is empty, too long, or holds a brace, a glob or another unusual character.
    """
    if not _PREFIX.fullmatch(prefix):
        raise ConfigurationError(f"a key prefix is 1 to 64 of A-Z a-z 0-9 _ . : -, not {prefix!r}")
    return prefix


@lru_cache(maxsize=4096)
def part(text: str) -> str:
    """`text` as it stands in a key."""
    if not text:
        return "~"
    escaped = quote(text, safe=_KEPT, errors="surrogatepass").replace("~", "%7E")
    return escaped if len(escaped) <= LONGEST_PART else _digest(text)


def text(escaped: str) -> str:
    """What `part` was made from; a long one is lost, and comes back as its `~` digest."""
    if escaped.startswith("~"):
        return "" if escaped == "~" else escaped
    return unquote(escaped, errors="surrogatepass")


def known_as(original: str) -> str:
    """What `text(part(original))` gives, so that a backend without keys can tell its names the same way."""
    return text(part(original))


def label(first: str, second: str) -> str:
    """Two names as one, unambiguous: each escaped, with a slash between."""
    return f"{part(first)}/{part(second)}"


def _digest(long: str) -> str:
    return "~" + sha256(long.encode("utf-8", "surrogatepass")).hexdigest()
