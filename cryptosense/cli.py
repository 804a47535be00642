"""The command line. Every command imports what it needs when it is called, so that `--help` is quick.

Exit codes: 0 all hold, 1 something is violated, 2 usage or could not start, 3 undecided, 130 interrupted.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NoReturn

import click

from cryptosense.cli_target import (
    ALLOW_PUBLIC,
    TARGET_PROFILE,
    TARGET_URLS,
    agreed_ceilings,
    named_target,
    refuse_without_target,
    target,
)
from cryptosense.errors import CryptoSenseError, Interrupted, UsageError
from cryptosense.workbench.verdicts import Verdict, worst

if TYPE_CHECKING:
    from cryptosense.workbench.results import RunResults

HOLDS, VIOLATED, COULD_NOT, UNDECIDED, INTERRUPTED = 0, 1, 2, 3, 130
_EXIT_CODES = {Verdict.HOLDS: HOLDS, Verdict.VIOLATED: VIOLATED, Verdict.UNDECIDED: UNDECIDED}

_OUT = click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default="reports",
    show_default=True,
    help="The folder that holds the runs.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="cryptosense", prog_name="cryptosense")
def cli() -> None:
    """Moves a web service's state into Redis and proves, with measurements, that the move is right.

    Begin with `cryptosense validate`; open reports/latest/index.html when it is done.
    """


cli.add_command(target)


@cli.command()
@click.argument("experiments", nargs=-1, metavar="[EXPERIMENT]...")
@click.option(
    "--profile",
    type=click.Choice(["quick", "full"]),
    default="quick",
    show_default=True,
    help="quick takes at most 4 minutes on 2 cores, full at most 25.",
)
@click.option(
    "-p",
    "assignments",
    multiple=True,
    metavar="EXPERIMENT.NAME=VALUE",
    help="Changes a parameter; may be given several times. VALUE is JSON or plain text.",
)
@click.option(
    "--redis-url",
    metavar="URL",
    help="Use this Redis or Valkey in place of embedded ones. Nothing on it is flushed, frozen or reconfigured.",
)
@_OUT
@TARGET_URLS
@TARGET_PROFILE
@ALLOW_PUBLIC
@click.option("--yes", is_flag=True, help="With --target: do not ask before sending load.")
@click.option("--max-rate", type=click.FloatRange(min=0, min_open=True), help="With --target: requests a second.")
@click.option("--max-concurrency", type=click.IntRange(1), help="With --target: requests at once.")
@click.option("--max-seconds", type=click.FloatRange(min=0, min_open=True), help="With --target: seconds of load.")
@click.option("--max-accounts", type=click.IntRange(0), help="With --target: accounts that may be made.")
def validate(
    *,
    experiments: tuple[str, ...],
    profile: Literal["quick", "full"],
    assignments: tuple[str, ...],
    redis_url: str | None,
    out: Path,
    target: tuple[str, ...],
    target_profile: Path | None,
    allow_public: bool,
    yes: bool,
    **ceilings: float | None,
) -> None:
    """Run experiments (all of them unless named), judge them, and write a report.

    With --target they judge a deployment that this project did not start.
    """
    from rich.console import Console

    from cryptosense.cli_service import refuse_unknown_services
    from cryptosense.workbench.run.run import prepare
    from cryptosense.workbench.run.run import validate as run_all
    from cryptosense.workbench.run.stopping import StopRequest
    from cryptosense.workbench.run.surroundings import Surroundings
    from cryptosense.workbench.run.terminal import print_results, watcher_for

    console = Console(highlight=False)
    stop = StopRequest()
    with stop.listening():
        surroundings = Surroundings(reports=out, redis_url=redis_url)
        request = prepare(experiments, profile=profile, assignments=assignments, surroundings=surroundings)
        refuse_unknown_services(request.chosen, targeted=bool(target))
        if target:
            if redis_url is not None:
                raise UsageError(
                    "--redis-url is for services that the run starts, and with --target it starts none; "
                    "leave one of the two out"
                )
            named = named_target(target, target_profile, allow_public=allow_public)
            limits = agreed_ceilings(named, ceilings, yes=yes)
            granted = replace(request.surroundings, target=named.model_dump_json(), ceilings=limits)
            request = replace(request, surroundings=granted)
        else:
            refuse_without_target(
                {"target_profile": target_profile, "allow_public": allow_public, "yes": yes, **ceilings}
            )
        watcher = watcher_for(console)
        folder, results = run_all(request, watcher, stop)
        stop.nothing_to_heal = True
        written = _write_report(folder)
        if written and profile == "full" and request.surroundings.target is None and not stop.requested:
            _bench_beside(folder)
            written = _write_report(folder)
        print_results(console, results, folder)
    sys.exit(INTERRUPTED if stop.requested else _exit_code(results, written=written))


@cli.command("list")
@click.option("--parameters", is_flag=True, help="Show each experiment's parameters as well.")
def list_experiments(*, parameters: bool) -> None:
    """Show the experiments and what each asks; with --parameters also what can be changed."""
    from rich.console import Console
    from rich.markup import escape

    from cryptosense.workbench.experiments import catalog
    from cryptosense.workbench.run.parameters import describe

    console = Console(highlight=False)
    for experiment in catalog().values():
        console.print(f"[bold]{experiment.name:<14}[/] {escape(experiment.doubt.question)}")
        for name, kind, default, text in describe(experiment) if parameters else ():
            console.print(f"    {name}: {escape(kind)} = {escape(str(default))}  [dim]{escape(text)}[/]")


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="The first port.")
@click.option("--instances", default=1, show_default=True, type=click.IntRange(1, 64), help="Instance i has PORT+i.")
def serve(host: str, port: int, instances: int) -> None:
    """Serve the reference implementation until Ctrl-C; an embedded server comes with it unless REDIS_URL is set."""
    from cryptosense.serve import serve as serve_until_stopped

    sys.exit(serve_until_stopped(host=host, port=port, instances=instances))


@cli.command()
@_OUT
@click.option(
    "--port",
    default=8888,
    show_default=True,
    type=click.IntRange(1, 65535),
    help="JupyterLab's port; the next free one if it is taken.",
)
@click.option("--browser/--no-browser", default=True, help="Open a browser, or only print the address.")
def lab(out: Path, port: int, browser: bool) -> None:
    """Open the notebooks in JupyterLab."""
    from cryptosense.workbench.jupyter import open_lab

    sys.exit(open_lab(reports=out, port=port, browser=browser))


@cli.command()
@click.argument("run", default="latest")
@_OUT
def recheck(run: str, out: Path) -> None:
    """Judge the saved history of RUN (an id, a folder, or `latest`) again, without running anything."""
    from rich.console import Console

    from cryptosense.workbench.run.library import find_run
    from cryptosense.workbench.run.recheck import recheck as judge_again
    from cryptosense.workbench.run.terminal import print_results

    console = Console(highlight=False)
    folder = find_run(run, out)
    results, changes = judge_again(folder)
    for change in changes:
        console.print(f"{change.experiment} · {change.claim}: {change.before or 'not judged'} → {change.after}")
    written = _write_report(folder)
    print_results(console, results, folder)
    sys.exit(_exit_code(results, written=written))


@cli.command()
@click.argument("run", default="latest")
@_OUT
def report(run: str, out: Path) -> None:
    """Render the report of RUN (an id, a folder, or `latest`) again from its results."""
    from cryptosense.workbench.report import write_report
    from cryptosense.workbench.run.library import find_run

    folder = find_run(run, out)
    write_report(folder)
    click.echo(f"Report: {folder / 'index.html'}")


@cli.command()
@click.argument("before")
@click.argument("after", default="latest")
@_OUT
def compare(before: str, after: str, out: Path) -> None:
    """Show what changed from run BEFORE to run AFTER, beyond noise; exit code 1 on a regression."""
    from cryptosense.workbench.compare import compare_runs
    from cryptosense.workbench.run.library import find_run

    old, new = find_run(before, out), find_run(after, out)
    if old == new:
        raise UsageError(f"{old.name} would be compared with itself; name two runs, or an older one than the latest")
    comparison = compare_runs(old, new)
    click.echo("\n".join(comparison.lines()))
    sys.exit(VIOLATED if comparison.regression else HOLDS)


@cli.command()
@click.argument("redis_url", required=False)
def preflight(redis_url: str | None) -> None:
    """Look at the Redis that is to carry the state (REDIS_URL, or that variable), read-only, and say what to mend."""
    from rich.console import Console

    from cryptosense.workbench.preflight import examine, look
    from cryptosense.workbench.preflight.showing import show
    from cryptosense.workbench.run.surroundings import redis_address

    examined = examine(look(redis_address(redis_url)))
    show(Console(highlight=False), examined)
    sys.exit(_EXIT_CODES[worst(one.finding.verdict for one in examined)])


@cli.command()
@click.argument("names", nargs=-1, metavar="[CONTROL]...")
@click.option("--jobs", type=click.IntRange(1, 8), default=3, show_default=True, help="Trials at a time.")
@_OUT
def controls(names: tuple[str, ...], jobs: int, out: Path) -> None:
    """Run flawed services (all of them unless named) under the claims that must convict them.

    Exit code 1 where a flaw was missed. The matrix goes to controls/ of the newest run, where its report shows it.
    """
    import asyncio

    from rich.console import Console

    from cryptosense.controls.control import catalog
    from cryptosense.workbench.run.control_matrix import Suspect, arrange, try_controls
    from cryptosense.workbench.run.control_showing import TrialWatch, print_matrix
    from cryptosense.workbench.run.library import beside_newest

    console = Console(highlight=False)
    suspects = [Suspect(name, control.contract, control.flaw) for name, control in catalog().items()]
    trials = arrange(suspects, names)
    folder = beside_newest(out, "controls")
    with TrialWatch(console, len(trials)) as watch:
        outcomes = asyncio.run(try_controls(trials, folder, jobs=jobs, report=watch.ended))
    print_matrix(console, outcomes)
    click.echo(f"Histories and verdicts: {folder}")
    _draw_again(folder.parent)
    sys.exit(HOLDS if all(outcome.caught for outcome in outcomes) else VIOLATED)


@cli.command()
@click.argument(
    "rows",
    nargs=-1,
    type=click.Choice(["limiter", "csrf", "cache", "web"]),  # refused before last time's figures are moved aside
    metavar="[limiter|csrf|cache|web]...",
)
@click.option("--quick", is_flag=True, help="Fewer rounds and shorter axes.")
@click.option("--check", is_flag=True, help="Exit code 1 where a ratio is worse than the committed baseline.")
@click.option("--keep", is_flag=True, help="Make these ratios the baseline.")
@_OUT
def bench(*, rows: tuple[str, ...], quick: bool, check: bool, keep: bool, out: Path) -> None:
    """Measure speed beside peers and beside the floor, as ratios within one run.

    Table, JSON and chart go to bench/ of the newest run, where its report shows them.
    """
    from rich.console import Console

    from cryptosense.bench.main import Options, run_bench
    from cryptosense.workbench.run.library import beside_newest

    folder = beside_newest(out, "bench")
    options = Options(groups=rows, quick=quick, check=check, keep=keep, out=folder)
    code = run_bench(options, Console(highlight=False))
    _draw_again(folder.parent)
    sys.exit(code)


def _bench_beside(run: Path) -> None:
    """Puts the benchmark into the run, for its report; a run is whole without it, so a failure is a sentence."""
    from rich.console import Console

    from cryptosense.bench.main import Options, run_bench

    try:
        run_bench(Options(quick=True, out=run / "bench"), Console(highlight=False))
    except CryptoSenseError as error:
        click.echo(f"the benchmark could not be made: {error}", err=True)


def _draw_again(run: Path) -> None:
    """Renders the run's report with what now lies beside its experiments; nothing where there was no run."""
    from cryptosense.workbench.report import write_report
    from cryptosense.workbench.results import RESULTS

    if (run / RESULTS).is_file():
        write_report(run)
        click.echo(f"Report: {run / 'index.html'}")


def _write_report(folder: Path) -> bool:
    """The verdicts stand in `results.json` by now; a report that cannot be drawn must not take them along."""
    try:
        from cryptosense.workbench.report import write_report

        write_report(folder)
    except Exception as error:  # noqa: BLE001 — whatever it was: say it, and end with a code that is not success
        click.echo(f"cryptosense: the report could not be written: {type(error).__name__}: {error}", err=True)
        return False
    return True


def _exit_code(results: "RunResults", *, written: bool) -> int:
    code = _EXIT_CODES[results.verdict]
    return COULD_NOT if code == HOLDS and not written else code


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The console script: an error of ours is one line, an interrupt is 130, never a traceback."""
    try:
        cli.main(args=None if arguments is None else list(arguments), prog_name="cryptosense", standalone_mode=False)
    except click.exceptions.Exit as error:
        code = error.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt, Interrupted):
        click.echo("cryptosense: interrupted", err=True)
        code = INTERRUPTED
    except CryptoSenseError as error:
        click.echo(f"cryptosense: {error}", err=True)
        code = COULD_NOT
    else:
        code = HOLDS
    sys.exit(code)


if __name__ == "__main__":
    main()
