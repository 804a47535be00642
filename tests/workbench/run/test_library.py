from pathlib import Path

import pytest

from cryptosense.errors import UsageError
from cryptosense.workbench import jupyter
from cryptosense.workbench.run.library import find_run, new_run


def test_runs_of_one_second_get_names_of_their_own_and_latest_is_the_newest(tmp_path: Path):
    runs = [new_run(tmp_path) for _ in range(3)]
    assert len({run.name for run in runs}) == 3
    link = tmp_path / "latest"
    assert link.readlink() == Path(runs[-1].name)
    assert not link.readlink().is_absolute()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*(run.name for run in runs), "latest"])


def test_a_run_is_found_by_id_as_latest_and_by_its_folder(tmp_path: Path):
    run = new_run(tmp_path)
    for name in (run.name, "latest", str(run)):
        assert find_run(name, tmp_path) == run.resolve()


def test_a_run_that_is_not_there_is_refused_naming_the_newest(tmp_path: Path):
    with pytest.raises(UsageError, match="holds no runs"):
        find_run("latest", tmp_path)
    run = new_run(tmp_path)
    with pytest.raises(UsageError, match=f"there is no run 'x'; the newest in .* are {run.name}"):
        find_run("x", tmp_path)


def test_an_installed_packages_notebooks_are_copied_once_and_changed_copies_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    installed = tmp_path / "site-packages" / "cryptosense" / "_notebooks"
    installed.mkdir(parents=True)
    for name in ("start.md", "soak.ipynb"):
        (installed / name).write_text("as installed")
    monkeypatch.setattr(jupyter, "notebooks_folder", lambda: installed)
    copies = jupyter.writable_notebooks(tmp_path)
    assert copies == tmp_path / jupyter.COPIES
    (copies / "soak.ipynb").write_text("changed by the user")
    jupyter.writable_notebooks(tmp_path)
    assert (copies / "soak.ipynb").read_text() == "changed by the user"
    assert (copies / "start.md").read_text() == "as installed"


def test_a_checkouts_notebooks_are_opened_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setattr(jupyter, "notebooks_folder", lambda: tmp_path / "notebooks")
    assert jupyter.writable_notebooks(tmp_path) == tmp_path / "notebooks"
