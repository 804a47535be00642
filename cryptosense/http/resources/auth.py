"""`/api/v1/auth`: register, log in, refresh, log out, change the password."""

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from cryptosense.http.guards import By, exchange_of, guarded
from cryptosense.http.replies import Problem, json_response
from cryptosense.http.resources.route import ResourceRoute, answers, caller_of, parts_of
from cryptosense.services.accounts import SignedIn

router = APIRouter(prefix="/api/v1/auth", tags=["auth"], route_class=ResourceRoute)


class Credentials(BaseModel):
    """Who, and the proof."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"email": "ada@example.org", "password": "correct horse battery"}}
    )

    email: str = Field(min_length=3, max_length=254)
    password: str = Field(min_length=1, max_length=1_024)


class Refresh(BaseModel):
    """The refresh token that was handed out last."""

    model_config = ConfigDict(extra="forbid")

    refresh_token: str = Field(alias="refreshToken", min_length=1, max_length=4_096)


class PasswordChange(BaseModel):
    """The old one and the new one."""

    model_config = ConfigDict(extra="forbid")

    current_password: str = Field(alias="currentPassword", min_length=1, max_length=1_024)
    new_password: str = Field(alias="newPassword", min_length=1, max_length=1_024)


class User(BaseModel):
    """Who signed in."""

    id: str
    email: str


class Signed(BaseModel):
    """A session's tokens."""

    user: User
    access_token: str = Field(alias="accessToken")
    refresh_token: str = Field(alias="refreshToken")


class Ended(BaseModel):
    """How many other sessions were ended."""

    ended: int


@router.post("/register", response_model=Signed, status_code=201, responses=answers(Problem.CONFLICT, Problem.DATABASE))
@guarded(limit="auth", by=By.ADDRESS, session=False)
async def register(request: Request, body: Credentials) -> Response:
    """A new user, signed in."""
    return _signed(await parts_of(request).accounts.register(body.email, body.password), 201)


@router.post("/login", response_model=Signed, responses=answers(Problem.UNAUTHORIZED, Problem.DATABASE))
@guarded(limit="auth", by=By.ADDRESS, session=False)
async def login(request: Request, body: Credentials) -> Response:
    """A new session."""
    return _signed(await parts_of(request).accounts.login(body.email, body.password))


@router.post("/refresh", response_model=Signed, responses=answers(Problem.UNAUTHORIZED, Problem.DATABASE))
@guarded(limit="auth", by=By.REFRESH, session=False)
async def refresh(request: Request, body: Refresh) -> Response:
    """Fresh tokens for a session; a refresh token that was used before ends it."""
    return _signed(await parts_of(request).accounts.refresh(body.refresh_token))


@router.post("/logout", status_code=204)
@guarded()
async def logout(request: Request) -> Response:
    """Ends the session: its bearer, refresh token and CSRF token stop working on every instance."""
    await parts_of(request).accounts.logout(caller_of(request))
    exchange_of(request).successor = None
    return Response(status_code=204)


@router.post("/password", response_model=Ended, responses=answers(Problem.DATABASE))
@guarded(limit="auth")
async def password(request: Request, body: PasswordChange) -> Response:
    """Another password; ends all other sessions of the user."""
    ended = await parts_of(request).accounts.change_password(
        caller_of(request), body.current_password, body.new_password
    )
    return json_response({"ended": ended})


def _signed(signed: SignedIn, status: int = 200) -> Response:
    return json_response(
        {
            "user": {"id": signed.user, "email": signed.email},
            "accessToken": signed.access_token,
            "refreshToken": signed.refresh_token,
        },
        status,
    )
