"""The same plan for Locust, whose workers run on many machines: for loads that one machine cannot make.

    locust -f "$(python -m cryptosense.workbench.load.distributed)" --headless --master --expect-workers 4
    locust -f "$(python -m cryptosense.workbench.load.distributed)" --worker --master-host M

with `CRYPTOSENSE_LOAD_PLAN` naming the plan's file (`LoadPlan.save`) on every machine, and the extra `distributed`.
Locust keeps statistics and no history, so its results are looked at and not judged. Client addresses of their own and
the order of an open loop's arrivals are not carried over: Locust spaces each user's requests evenly instead.
"""

import importlib
import itertools
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptosense.workbench.load.plan import Ask, ClosedLoop, LoadClient, LoadPlan

PLAN_FILE = "CRYPTOSENSE_LOAD_PLAN"


def users(plan: LoadPlan) -> int:
    """As many users as a closed loop has senders; an open loop's clients share its rate."""
    return plan.shape.concurrency if isinstance(plan.shape, ClosedLoop) else len(plan.clients)


def rate_of_a_user(plan: LoadPlan) -> float | None:
    """Requests per second that each user is to send; None for as fast as it is answered."""
    return None if isinstance(plan.shape, ClosedLoop) else plan.shape.rate / users(plan)


def user_class(plan: LoadPlan, *, base: Any, wait_at: Callable[[float], Any], give_up: type[Exception]) -> Any:
    """A Locust user that carries out the plan.

    `base` is `locust.FastHttpUser`, `wait_at` `locust.constant_throughput`, `give_up` `locust.exception.StopUser`.
    """
    numbers = itertools.count()
    rate = rate_of_a_user(plan)
    bound = plan.shape.requests_each if isinstance(plan.shape, ClosedLoop) else None

    class PlannedUser(base):  # type: ignore[misc]
        host = plan.urls[0]
        wait_time = wait_at(rate) if rate is not None else (lambda _user: 0)

        def on_start(self) -> None:
            self.number = next(numbers)
            self.planned: LoadClient = plan.clients[self.number % len(plan.clients)]
            self.token = self.planned.token
            self.sent = 0
            self.draw = random.Random(plan.seed * 1_000_003 + self.number)

        def ask_once(self) -> None:
            if bound is not None and self.sent >= bound:
                raise give_up
            ask: Ask = self.draw.choices(plan.asks, [one.weight for one in plan.asks])[0]
            place = self.number if plan.routing == "sticky" else self.number + self.sent
            url = plan.urls[place % len(plan.urls)] + ask.path
            self.sent += 1
            headers = dict(self.planned.headers)
            if ask.csrf and self.token is not None:
                headers[plan.csrf_header] = self.token
            body = _filled(ask, f"{plan.phase}-{self.number}-{self.sent}")
            answer = self.client.request(ask.method, url, name=ask.kind, headers=headers, json=body)
            if ask.csrf:
                self.token = (answer.headers or {}).get(plan.successor_header, self.token)

        tasks = [ask_once]  # noqa: RUF012 (Locust's own form)

    return PlannedUser


def _filled(ask: Ask, nonce: str) -> Any:
    return None if ask.body is None else json.loads(json.dumps(ask.body).replace("{nonce}", nonce))


def _for_locust() -> dict[str, Any]:
    """What Locust looks for in the file that it is given: a user class and the shape of the load over time."""
    # Untyped, not always installed, and it patches sockets when it is imported: here and nowhere else.
    locust: Any = importlib.import_module("locust")
    stop: Any = importlib.import_module("locust.exception").StopUser
    plan = LoadPlan.load(Path(os.environ[PLAN_FILE]))

    class PlannedShape(locust.LoadTestShape):  # type: ignore[misc]
        def tick(self) -> tuple[int, float] | None:
            """All users from the beginning until the plan's end."""
            return (users(plan), float(users(plan))) if self.get_run_time() < plan.seconds else None

    user = user_class(plan, base=locust.FastHttpUser, wait_at=locust.constant_throughput, give_up=stop)
    return {"PlannedUser": user, "PlannedShape": PlannedShape}


if __name__ == "__main__":
    print(Path(__file__).resolve())
elif PLAN_FILE in os.environ:
    globals().update(_for_locust())
