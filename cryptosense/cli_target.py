"""The part of the command line that is about deployments which are not ours."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cryptosense.errors import UsageError

if TYPE_CHECKING:
    from cryptosense.workbench.target import Target
    from cryptosense.workbench.targets.ceilings import Ceilings

TARGET_URLS = click.option(
    "--target",
    multiple=True,
    metavar="URL",
    help="Judge this deployment in place of ours; several times for several addresses of one deployment.",
)
TARGET_PROFILE = click.option(
    "--target-profile",
    type=click.Path(dir_okay=False, path_type=Path),
    help="What the target does differently; `cryptosense target init` writes one to fill in.",
)
ALLOW_PUBLIC = click.option("--allow-public", is_flag=True, help="The target may have a public address.")


@click.group()
def target() -> None:
    """Prepare a run against a deployment that is not ours."""


@target.command("init")
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path), default="target.toml")
def target_init(path: Path) -> None:
    """Write a commented target profile to PATH, to be filled in."""
    from cryptosense.workbench.targets.profile_file import template

    if path.exists():
        raise UsageError(f"{path} exists already; name another file")
    try:
        path.write_text(template(), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
    click.echo(
        f"Wrote {path}. Uncomment what differs, then: cryptosense target check --target URL --target-profile {path}"
    )


@target.command("check")
@TARGET_URLS
@TARGET_PROFILE
@ALLOW_PUBLIC
def target_check(target: tuple[str, ...], target_profile: Path | None, *, allow_public: bool) -> None:
    """Say what of the target can be tested and what to provide for the rest, without sending load."""
    import asyncio

    from cryptosense.workbench.targets.check import check_target

    if not target:
        raise UsageError("name the deployment with --target URL")
    found = asyncio.run(check_target(named_target(target, target_profile, allow_public=allow_public)))
    for one in found:
        click.echo(f"{'yes' if one.yes else 'no ':<4} {one.topic}{f': {one.provide}' if one.provide else ''}")
    sys.exit(0 if all(one.yes for one in found) else 3)


def named_target(urls: Sequence[str], profile: Path | None, *, allow_public: bool) -> "Target":
    """The deployment that the user named, refused when it is a public address that nobody allowed."""
    from cryptosense.workbench.target import Target, TargetProfile
    from cryptosense.workbench.targets.profile_file import load_profile
    from cryptosense.workbench.targets.reach import refuse_public

    refuse_public(urls, allow_public=allow_public)
    found = load_profile(profile) if profile else TargetProfile()
    found.require_secrets()
    return Target(urls=tuple(url.rstrip("/") for url in urls), profile=found, foreign=True)


def refuse_without_target(given: Mapping[str, object]) -> None:
    """Where no --target is named, an option that is about one would be passed over in silence."""
    idle = [f"--{name.replace('_', '-')}" for name, value in given.items() if value is not None and value is not False]
    if idle:
        raise UsageError(f"{idle[0]} goes with --target URL, and none is named")


def agreed_ceilings(named: "Target", wanted: Mapping[str, float | None], *, yes: bool) -> "Ceilings":
    """What may be sent at most, printed, and agreed to by the user or by --yes."""
    from cryptosense.workbench.targets.ceilings import Ceilings

    changed: dict[str, Any] = {name.removeprefix("max_"): value for name, value in wanted.items() if value is not None}
    ceilings = replace(Ceilings(), **changed)
    click.echo(f"{', '.join(named.urls)} will be sent {ceilings.sentence()}.")
    if not yes and not (sys.stdin.isatty() and click.confirm("Go ahead?")):
        raise UsageError("nothing was sent; add --yes to run without being asked")
    return ceilings
