"""Every command of the documents runs as written, or is listed here with the reason.

A page is one session: its commands run in order, in a folder of its own that holds the files which
its reader has. Training is made shorter; nothing else is changed. Pages that train are slow tests;
what they do before training, and without its models, runs each time.
"""

from __future__ import annotations

import glob
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from documents import PAGES, page_name, shell_commands
from support import run_lcmap

NOT_RUN = {
    r"make (example|lint|test)\b": "installs lcmap, or runs these very tests",
    r"git clone ": "takes a network and the address of the repository",
    r"git worktree ": "takes the history of the project",
    r"python3 -m venv |\.venv/bin/pip install |pip install ": "takes a network",
    r"\. \.venv/bin/activate|export PATH=": "is about the reader's own shell",
    r"pre-commit install": "takes pre-commit, which the project does not need",
    r"pytest ": "runs tests inside tests",
    r"(PYTHONPATH=\S+ )?python benchmarks/": "reads data beside the project, for minutes or hours",
    r"lcmap predict zones\.tif ": "maps those data",
    r"cc |LD_PRELOAD=": "takes a C compiler, and a processor that can imitate an older one",
    r'SPOT="a\.tif b\.tif"': "tests/examples runs the scripts of the experiments",
}
"""What does not run here, as a pattern of the command's beginning, and why."""

READER_HAS = {
    "README.md": "given_files",
    "docs/tutorial.md": "given_files",
    "docs/models.md": "trained_files",
}
"""The fixture with the files that a page's reader has; `prepared_files` for the others."""

MADE_BY_PAGE = {"README.md": ("s2.tif",)}
"""What a page makes itself, of the files that readers of others have."""

OUTPUT = re.compile(r"(?:-o|--confidence|--probabilities) (\S+)")


def why_not(command: str) -> str | None:
    """Return why a command does not run here, None for one that does."""
    return next((why for what, why in NOT_RUN.items() if re.match(what, command)), None)


def trains(command: str) -> bool:
    """Tell whether a command trains a network, which takes a while."""
    return "lcmap train " in command


def pages(*, training: bool) -> list[object]:
    """Return the pages with commands that run, as test cases; with `training` those that train."""
    cases = []
    for page in PAGES:
        commands = [text for text in shell_commands(page) if why_not(text) is None]
        if training and any(trains(text) for text in commands):
            cases.append(pytest.param(page, id=page_name(page), marks=pytest.mark.slow))
        elif not training and commands and READER_HAS.get(page_name(page)) != "trained_files":
            cases.append(pytest.param(page, id=page_name(page)))
    return cases


@pytest.fixture
def reader_folder(
    page: Path,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """The folder in which the reader of a page works."""
    name = page_name(page)
    folder = tmp_path / "reader"
    files = request.getfixturevalue(READER_HAS.get(name, "prepared_files"))
    shutil.copytree(files, folder, symlinks=True)
    for file in MADE_BY_PAGE.get(name, ()):
        (folder / file).unlink()
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("page", pages(training=True))
def test_commands_run_as_written(
    page: Path, reader_folder: Path, environment: dict[str, str]
) -> None:
    for command in shell_commands(page):
        if why_not(command) is None:
            run(shortened(command), environment)


@pytest.mark.parametrize("page", pages(training=False))
def test_commands_before_and_beside_training_run_as_written(
    page: Path, reader_folder: Path, environment: dict[str, str]
) -> None:
    missing: set[str] = set()
    ran = 0
    for command in shell_commands(page):
        if why_not(command) is not None:
            continue
        if trains(command) or missing & set(shlex.split(command)):
            missing |= set(OUTPUT.findall(command))
        else:
            run(command, environment)
            ran += 1
    assert ran


def test_what_does_not_run_is_there() -> None:
    commands = [command for page in PAGES for command in shell_commands(page)]
    for pattern in NOT_RUN:
        assert any(re.match(pattern, command) for command in commands), f"remove {pattern}"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (
            "lcmap train a.geojson -o a.onnx --minutes 60",
            "lcmap train a.geojson -o a.onnx --epochs 1 --batch-size 1 --width 2 --depth 3",
        ),
        (
            "lcmap train a.geojson --init-from a.onnx -o b.onnx --minutes 1",
            "lcmap train a.geojson --init-from a.onnx -o b.onnx --epochs 1 --batch-size 1",
        ),
        ("lcmap predict a.tif -m a.onnx -o b.tif", "lcmap predict a.tif -m a.onnx -o b.tif"),
    ],
)
def test_training_is_made_shorter(command: str, expected: str) -> None:
    assert shortened(command) == expected


def shortened(command: str) -> str:
    """Return a command, one that trains with a small network and for one epoch."""
    size = "" if "--init-from" in command else " --width 2 --depth 3"
    return re.sub(r"--minutes [\d.]+", f"--epochs 1 --batch-size 1{size}", command)


def run(command: str, environment: dict[str, str]) -> None:
    """Run a command as a shell does; a plain call of lcmap in this process, which is faster."""
    if command.startswith("lcmap ") and not re.search(r"[|$;&<>]", command):
        done = run_lcmap(*words_of(command)[1:])
        assert done.exit_code == 0, f"{command}\n{done.stderr}"
        return
    shell = ["bash", "-e", "-o", "pipefail", "-c", command]
    finished = subprocess.run(shell, env=environment, capture_output=True, text=True)
    assert finished.returncode == 0, f"{command}\n{finished.stderr}"


def words_of(command: str) -> list[str]:
    """Return the words of a command, with patterns outside quotes replaced by files."""
    words: list[str] = []
    for word in shlex.split(command, posix=False):
        if word[0] in "'\"":
            words.append(word[1:-1])
        elif "*" in word:
            files = sorted(glob.glob(word))
            assert files, f"{command}: nothing is called {word}"
            words.extend(files)
        else:
            words.append(word)
    return words
