"""Users: register, log in, refresh, change the password, log out.

Nothing that a user types becomes part of a key of the state: identifiers are drawn here.
"""

import logging
import re
import unicodedata
import uuid
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from cryptosense.clock import Clock
from cryptosense.errors import Conflict, InvalidInput, NotSignedIn, StateError
from cryptosense.services.csrf import CsrfTokens
from cryptosense.services.database import Database
from cryptosense.services.database.models import User
from cryptosense.services.passwords import Passwords
from cryptosense.services.sessions import Bearer, Sessions, TokenPair

_log = logging.getLogger(__name__)

_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s.]+(?:\.[^@\s.]+)+")
_LONGEST_EMAIL = 254
_SHORTEST_PASSWORD = 8
_LONGEST_PASSWORD = 1024


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A user and the tokens of a session."""

    user: str
    email: str
    access_token: str
    refresh_token: str


class Accounts:
    """Accounts in the database, sessions in the state."""

    def __init__(
        self, database: Database, passwords: Passwords, sessions: Sessions, csrf: CsrfTokens, clock: Clock
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._sessions = sessions
        self._csrf = csrf
        self._clock = clock

    async def register(self, email: str, password: str) -> SignedIn:
        """A new account, signed in.

        Raises:
            InvalidInput: no address, or a password that is too short or too long.
            Conflict: the address has an account.
            DatabaseUnavailable, StateError: try again; the account may exist by then.
        """
        email = normalise_email(email)
        _check_new_password(password)
        user = User(
            id=uuid.uuid4().hex,
            email=email,
            password_digest=await self._passwords.digest(password),
            created_at_ms=round(self._clock.now() * 1000),
        )
        try:
            async with self._database.writing() as rows:
                rows.add(user)
                await rows.flush()
        except IntegrityError:
            raise Conflict("this e-mail address has an account already") from None
        return _signed_in(await self._sessions.open(user.id), email)

    async def login(self, email: str, password: str) -> SignedIn:
        """A new session of an account; an unknown address takes as long as a wrong password.

        Raises:
            NotSignedIn: not known together.
            DatabaseUnavailable, StateError: nobody can tell.
        """
        try:
            email = normalise_email(email)
        except InvalidInput:
            email = ""  # nobody's, and it takes as long as anybody's
        async with self._database.reading() as rows:
            user = await rows.scalar(select(User).where(User.email == email)) if email else None
        digest = None if user is None else user.password_digest
        if not await self._passwords.matches(digest, password[: _LONGEST_PASSWORD + 1]) or user is None:
            raise NotSignedIn("e-mail address and password are not known together")
        return _signed_in(await self._sessions.open(user.id), email)

    async def refresh(self, refresh_token: str) -> SignedIn:
        """New tokens for a session; the refresh token is spent.

        Raises:
            NotSignedIn: it is not valid.
            DatabaseUnavailable, StateError: nobody can tell; after `StateError` it may be spent.
        """
        named = self._sessions.read_refresh(refresh_token)
        if named is None:
            raise NotSignedIn("the refresh token is not valid")
        # Asked first: a database that is down must not cost the client its refresh token.
        user = await self._user(named[0])
        return _signed_in(await self._sessions.refresh(refresh_token), user.email)

    async def change_password(self, bearer: Bearer, current: str, new: str) -> int:
        """Replaces the password and ends the user's other sessions; how many were ended.

        Raises:
            InvalidInput: the current password is wrong, or the new one too short or too long.
            NotSignedIn: the account is gone.
            StateError: the password is changed, but other sessions may live on.
            DatabaseUnavailable: nobody can tell.
        """
        _check_new_password(new)
        user = await self._user(bearer.user)
        if not await self._passwords.matches(user.password_digest, current[: _LONGEST_PASSWORD + 1]):
            raise InvalidInput("the current password is wrong")
        digest = await self._passwords.digest(new)
        async with self._database.writing() as rows:
            stored = await rows.get(User, bearer.user)
            if stored is None:
                raise NotSignedIn("the account is gone")
            stored.password_digest = digest
        return await self._sessions.close_all(bearer.user, keep=bearer.session)

    async def logout(self, bearer: Bearer) -> None:
        """Ends the session: bearer, refresh token and CSRF token stop working.

        Raises:
            StateError: the session may live on.
        """
        await self._sessions.close(bearer.user, bearer.session)
        try:
            await self._csrf.revoke(bearer.session)
        except StateError:
            # Without its session the token opens nothing, and its lifetime ends it.
            _log.warning("the CSRF token of a closed session was not revoked", extra={"event": "csrf_revoke_failed"})

    async def _user(self, identifier: str) -> User:
        async with self._database.reading() as rows:
            user = await rows.get(User, identifier)
        if user is None:
            raise NotSignedIn("the account is gone")
        return user


def normalise_email(email: str) -> str:
    """Lower case, composed (NFC), without surrounding blanks.

    Raises:
        InvalidInput: it is no address, or holds control characters.
    """
    if len(email) > 2 * _LONGEST_EMAIL:
        raise InvalidInput("the e-mail address is too long")
    address = unicodedata.normalize("NFC", email.strip()).lower()
    if any(unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn"} for character in address):
        raise InvalidInput("the e-mail address holds characters that no address has")
    if len(address) > _LONGEST_EMAIL or not _EMAIL.fullmatch(address):
        raise InvalidInput("this is no e-mail address")
    return address


def _check_new_password(password: str) -> None:
    if not _SHORTEST_PASSWORD <= len(password) <= _LONGEST_PASSWORD:
        raise InvalidInput(f"a password has {_SHORTEST_PASSWORD} to {_LONGEST_PASSWORD} characters")
    if any(unicodedata.category(character) == "Cs" for character in password):
        raise InvalidInput("the password holds half a character")


def _signed_in(pair: TokenPair, email: str) -> SignedIn:
    return SignedIn(pair.user, email, pair.access_token, pair.refresh_token)
