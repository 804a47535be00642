"""The target profile: what is accepted, what is refused in one line, and the template."""

import re

import pytest

from cryptosense.errors import UsageError
from cryptosense.workbench.target import TargetProfile, reveal
from cryptosense.workbench.targets.profile_file import load_profile, template


def written(tmp_path, text):
    path = tmp_path / "target.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_empty_profile_is_the_wire_contract(tmp_path):
    assert load_profile(written(tmp_path, "")) == TargetProfile()


def test_the_template_as_written_changes_nothing(tmp_path):
    assert load_profile(written(tmp_path, template())) == TargetProfile()


def test_the_template_uncommented_says_the_defaults_again(tmp_path):
    settings = [
        line.removeprefix("# ")
        for line in template().splitlines()
        if re.match(r"# (\[|[A-Za-z_]+ = )", line) and "(not set)" not in line
    ]
    text = "\n".join(settings).split("[[accounts]]", maxsplit=1)[0]
    assert load_profile(written(tmp_path, text)) == TargetProfile()


def test_the_template_names_every_key(tmp_path):
    text = template()
    for part, field in TargetProfile.model_fields.items():
        assert part in text
        if hasattr(field.annotation, "model_fields"):
            assert [key for key in field.annotation.model_fields if key not in text] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[csrf\n", "is not TOML"),
        ("[csrf]\nheadr = 'X'\n", "there is no key csrf.headr"),
        ("[limits.api]\nmax = 0\nwindow_s = 1\npath = '/'\n", "limits.api.max"),
        ("[limits.api]\nmax = 5\nwindow_s = 1\n", "limits.api.path"),
        ("[csrf]\nsuccessor = 'trailer'\n", "csrf.successor"),
    ],
)
def test_a_profile_that_does_not_fit_is_refused_in_one_line(tmp_path, text, said):
    with pytest.raises(UsageError, match=re.escape(said)) as refused:
        load_profile(written(tmp_path, text))
    assert "\n" not in str(refused.value)


def test_a_missing_profile_is_refused_by_name(tmp_path):
    with pytest.raises(UsageError, match=r"nowhere\.toml"):
        load_profile(tmp_path / "nowhere.toml")


def test_a_secret_is_read_from_the_environment_when_it_is_used(tmp_path, monkeypatch):
    profile = load_profile(written(tmp_path, "[[accounts]]\nbearer = 'env:SHOP_BEARER'\n"))
    assert "s3cret" not in profile.model_dump_json()
    monkeypatch.setenv("SHOP_BEARER", "s3cret")
    assert reveal(profile.accounts[0].bearer) == "s3cret"
    monkeypatch.delenv("SHOP_BEARER")
    with pytest.raises(UsageError, match="SHOP_BEARER"):
        reveal(profile.accounts[0].bearer)


def test_a_route_that_is_not_there_is_written_as_false(tmp_path):
    profile = load_profile(written(tmp_path, "[auth]\nrefresh = false\n"))
    assert profile.auth.refresh is None
    assert profile.auth.login is not None
