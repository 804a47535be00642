"""The key scheme: nothing that a user names reaches a key unescaped, and different names never meet."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from cryptosense.errors import ConfigurationError
from cryptosense.state.contracts import Algorithm
from cryptosense.state.keys import LONGEST_PART, checked_prefix, known_as, label, part, text
from cryptosense.state.redis.csrf import RedisCsrf
from cryptosense.state.redis.sessions import RedisSessions
from cryptosense.state.redis.windows import RedisWindows

ANYTHING = st.text(st.characters(), max_size=700)
SAFE = re.compile(r"[A-Za-z0-9_.@,:%~-]+")


@given(ANYTHING)
def test_a_part_holds_safe_characters_only_and_is_bounded(name):
    escaped = part(name)
    assert SAFE.fullmatch(escaped)
    assert len(escaped) <= LONGEST_PART


@given(ANYTHING)
def test_a_part_tells_its_name_unless_it_was_too_long(name):
    assert text(part(name)) == known_as(name)
    assert known_as(name) == name or len(known_as(name)) == 65


@given(ANYTHING, ANYTHING)
def test_different_names_have_different_parts(one, other):
    assert (part(one) == part(other)) == (one == other)


@given(ANYTHING, ANYTHING, ANYTHING, ANYTHING)
def test_pairs_of_names_have_different_labels(a, b, c, d):
    assert (label(a, b) == label(c, d)) == ((a, b) == (c, d))


@given(ANYTHING, ANYTHING)
def test_what_one_script_touches_lies_on_one_shard_and_within_its_prefix(user, session):
    record, index = RedisSessions(None, "cs:")._keys(user, session)
    assert key_slot(record.encode()) == key_slot(index.encode())
    others = [RedisCsrf(None, "cs:")._key(user), RedisWindows(None, "cs:")._key(user, Algorithm.LOG)]
    for key in (record, index, *others):
        assert re.fullmatch(r"cs:[a-z:]*\{[A-Za-z0-9_.@,:%~-]+\}[A-Za-z0-9_.@,:%~-]*", key)


@pytest.mark.parametrize("prefix", ["", "{cs}:", "c*s:", "a" * 65, "cs \n", "cs[1]"])
def test_a_prefix_that_would_break_the_scheme_is_refused(prefix):
    with pytest.raises(ConfigurationError):
        checked_prefix(prefix)
