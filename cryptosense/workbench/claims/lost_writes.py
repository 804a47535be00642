"""Which acknowledged writes a store forgot, told from the outside by the tokens that sessions hold.

Each session of a failover run rotates its CSRF token again and again, one request at a time, so its answers are a
chain: a successor that was delivered is an acknowledged write. When the session later turns out to hold an earlier
token, the rotations after it were lost; when it holds one that nobody was given, its record was lost, unless a request
without a clear answer explains the change.
"""

from dataclasses import dataclass, field

from cryptosense.workbench.claims.csrf_model import Guard, guard_of
from cryptosense.workbench.claims.reading import by_actor, may_be_applied, select
from cryptosense.workbench.history import History, Operation, Span


@dataclass(frozen=True, slots=True)
class LostWrite:
    """`acknowledged` delivered what `revealed_by` shows to be forgotten."""

    session: str
    acknowledged: Operation
    revealed_by: Operation


@dataclass(frozen=True, slots=True)
class FalseAccept:
    """`accepted` passed the guard with a token that `spent_by` had used up."""

    session: str
    accepted: Operation
    spent_by: Operation


@dataclass(slots=True)
class Account:
    """What became of every acknowledged write.

    `unread` are sessions that acknowledged a write after which no answer told what they hold; `read_at` is when each
    session that acknowledged one was last shown to hold anything.
    """

    acknowledged: int = 0
    lost: list[LostWrite] = field(default_factory=list)
    false_accepts: list[FalseAccept] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    read_at: dict[str, float] = field(default_factory=dict)

    def unread_since(self, moment: float) -> list[str]:
        """Sessions whose acknowledged writes nobody has seen since: that they outlived it is not shown."""
        return sorted({*self.unread, *(session for session, at in self.read_at.items() if at < moment)})


@dataclass(slots=True)
class _Chain:
    """One session's tokens, oldest first, each with the operation that delivered it."""

    session: str
    tokens: list[tuple[str, Operation]] = field(default_factory=list)
    unclear: bool = False
    settled: bool = True
    read_at: float = float("-inf")
    acknowledged: int = 0
    spent: dict[str, Operation] = field(default_factory=dict)

    def forgotten(self, seen_in: Operation, account: Account) -> None:
        """The session itself is unknown: with it went all that it held."""
        account.lost.extend(
            LostWrite(self.session, giver, seen_in) for _, giver in self.tokens if giver.kind != "csrf.fetch"
        )
        self.tokens, self.unclear, self.settled, self.read_at = [], False, True, seen_in.completed_at

    def holds(self, token: str, seen_in: Operation, account: Account) -> None:
        """The session was shown to hold `token`."""
        known = [place for place, (held, _) in enumerate(self.tokens) if held == token]
        forgotten = self.tokens[known[-1] + 1 :] if known else ([] if self.unclear else self.tokens)
        account.lost.extend(
            LostWrite(self.session, giver, seen_in) for _, giver in forgotten if giver.kind != "csrf.fetch"
        )
        undone = {giver.id for _, giver in forgotten}
        self.spent = {used: by for used, by in self.spent.items() if by.id not in undone}
        self.tokens = self.tokens[: known[-1] + 1] if known else [(token, seen_in)]
        self.unclear, self.settled, self.read_at = False, True, seen_in.completed_at


def account_of_writes(history: History, *, phase: str) -> Account:
    """Follows every session of the phase (`csrf.fetch` and `csrf.post`, sequential per session) to its end."""
    account = Account()
    for session, operations in by_actor(select(history, "csrf.fetch", "csrf.post", phase=phase)).items():
        chain = _Chain(session)
        for operation in operations:
            if operation.kind == "csrf.fetch" and operation.status == 401:
                chain.forgotten(operation, account)
            elif operation.kind == "csrf.fetch":
                token = operation.got.get("token")
                if token is not None:
                    chain.holds(str(token), operation, account)
            else:
                _follow_post(chain, operation, account)
        if not chain.settled:
            account.unread.append(session)
        if chain.acknowledged:
            account.acknowledged += chain.acknowledged
            account.read_at[session] = chain.read_at
    return account


def _follow_post(chain: _Chain, post: Operation, account: Account) -> None:
    presented, successor = post.sent.get("token"), post.got.get("successor")
    if presented in chain.spent and guard_of(post) is Guard.ACCEPTED:
        account.false_accepts.append(FalseAccept(chain.session, post, chain.spent[str(presented)]))
    if successor is None:
        # A refusal says nothing of what is held; what passed, or may have, rotated to a token that nobody saw.
        chain.unclear = chain.unclear or may_be_applied(post) or guard_of(post) is Guard.ACCEPTED
        return
    if presented is not None:
        chain.holds(str(presented), post, account)
        chain.spent[str(presented)] = post
    chain.tokens.append((str(successor), post))
    chain.settled = False
    chain.acknowledged += 1


def explained(accept: FalseAccept, account: Account, fault: Span | None, window_s: float) -> bool:
    """Whether the write that had used the token up is counted as lost, and the fault can have lost it."""
    if fault is None or accept.accepted.completed_at < fault.started_at:
        return False
    if all(loss.acknowledged.id != accept.spent_by.id for loss in account.lost):
        return False
    return fault.started_at - window_s <= accept.spent_by.completed_at <= fault.ended_at + window_s
