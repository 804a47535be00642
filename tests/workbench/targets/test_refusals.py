"""What is refused before anything is sent to a deployment that is not ours."""

import pytest
from click.testing import CliRunner

from cryptosense.cli import cli
from cryptosense.errors import UsageError


@pytest.fixture
def refused(tmp_path, monkeypatch):
    """Runs `validate` with the words, of which each must be refused before the first request; what was said."""
    monkeypatch.chdir(tmp_path)

    def sent(*_arguments, **_options):
        raise AssertionError("something was sent")

    monkeypatch.setattr("cryptosense.workbench.run.run.validate", sent)

    def run(*words, profile=None):
        arguments = ["validate", "security", *words]
        if profile is not None:
            (tmp_path / "target.toml").write_text(profile)
            arguments += ["--target-profile", "target.toml"]
        done = CliRunner().invoke(cli, arguments)
        assert done.exit_code != 0
        assert not isinstance(done.exception, AssertionError), done.exception
        said = done.output + (str(done.exception) if isinstance(done.exception, UsageError) else "")
        assert not list(tmp_path.glob("reports/*"))
        return said

    return run


def test_a_public_address_is_refused_without_a_word_that_allows_it(refused):
    assert "--allow-public" in refused("--target", "http://8.8.8.8", "--yes")


def test_without_a_terminal_nothing_is_confirmed_and_the_ceilings_were_printed(refused):
    said = refused("--target", "http://127.0.0.1:9", "--max-rate", "7", "--max-accounts", "3")
    assert "nothing was sent" in said
    assert "at most 7 requests a second, 32 at once, for 600 seconds, and 3 new accounts" in said


def test_a_declined_confirmation_sends_nothing(refused, monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.confirm", lambda _question: False)
    assert "nothing was sent" in refused("--target", "http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("profile", "named"),
    [
        ("[csrf]\nheadr = 'X'", "csrf.headr"),
        ("[errors]\ncode = 'x'", "errors.code"),
        ("[limit_headers]\nlimits = 'x'", "limit_headers.limits"),
        ("[limits.api]\nmax = 0\nwindow_s = 1\npath = '/'", "limits.api.max"),
        ("[csrf]\nother_sites = 'maybe'", "csrf.other_sites"),
        ("[cache", "not TOML"),
    ],
)
def test_a_key_or_value_that_does_not_fit_is_named(refused, profile, named):
    assert named in refused("--target", "http://127.0.0.1:9", "--yes", profile=profile)


def test_a_secret_that_is_not_in_the_environment_is_missed_before_anything_is_sent(refused, monkeypatch):
    monkeypatch.delenv("SHOP_WORD", raising=False)
    profile = '[[accounts]]\nemail = "me@shop.test"\npassword = "env:SHOP_WORD"\n'
    assert "SHOP_WORD, which is not set" in refused("--target", "http://127.0.0.1:9", "--yes", profile=profile)


@pytest.mark.parametrize("key", ["password", "bearer"])
def test_a_secret_that_stands_in_the_profile_is_refused_without_repeating_it(refused, key):
    said = refused("--target", "http://127.0.0.1:9", "--yes", profile=f'[[accounts]]\n{key} = "hunter2"\n')
    assert "write env:NAME" in said
    assert f"accounts.0.{key}" in said
    assert "hunter2" not in said


@pytest.mark.parametrize("option", ["--max-rate=0", "--max-concurrency=0", "--max-seconds=0", "--max-accounts=-1"])
def test_a_ceiling_that_is_none_is_refused(refused, option):
    assert option.partition("=")[0] in refused("--target", "http://127.0.0.1:9", "--yes", option)
