"""Users: register, log in, refresh, change the password, log out."""

from dataclasses import dataclass

from cryptosense.services.csrf import CsrfTokens
from cryptosense.services.database import Database
from cryptosense.services.passwords import Passwords
from cryptosense.services.sessions import Bearer, Sessions
from cryptosense.clock import Clock


@dataclass(frozen=True, slots=True)
class SignedIn:
    user: str
    email: str
    access_token: str
    refresh_token: str


class Accounts:
    def __init__(
        self, database: Database, passwords: Passwords, sessions: Sessions, csrf: CsrfTokens, clock: Clock
    ) -> None: ...
    async def register(self, email: str, password: str) -> SignedIn: ...  # InvalidInput, Conflict
    async def login(self, email: str, password: str) -> SignedIn: ...  # NotSignedIn
    async def refresh(self, refresh_token: str) -> SignedIn: ...  # NotSignedIn
    async def change_password(
        self, bearer: Bearer, current: str, new: str
    ) -> int: ...  # sessions ended; NotSignedIn, InvalidInput
    async def logout(self, bearer: Bearer) -> None: ...
