"""Standard input and output as files, over real processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lcmap.raster.pipes import input_path

READ = """
import sys
from pathlib import Path
from lcmap.raster.pipes import input_path
from lcmap.errors import LcmapError
try:
    with input_path("-", tmpdir=Path(sys.argv[1])) as path:
        print(path, path.read_bytes()[-3:].decode())
except LcmapError as error:
    print(error)
    sys.exit(error.exit_code)
"""

WRITE = """
import sys
from pathlib import Path
from lcmap.raster.writing import atomic_path
from lcmap.errors import LcmapError
try:
    with atomic_path("-", overwrite=False, tmpdir=Path(sys.argv[1])) as path:
        path.write_bytes(b"x" * 10_000_000)
except LcmapError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""


def run(shell: str, script: str, tmp_path: Path) -> subprocess.CompletedProcess[bytes]:
    command = shell.replace("PYTHON", f"{sys.executable} -c '{script}' {tmp_path}")
    return subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True)


def test_a_redirected_file_is_read_in_place(tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(b"abc")
    done = run(f"PYTHON < {tmp_path}/input", READ.replace("'", '"'), tmp_path)
    assert done.stdout.split() == [b"/dev/stdin", b"abc"]


def test_a_pipe_is_spooled_and_the_spool_removed(tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(b"a" * 5_000_000 + b"xyz")
    done = run(f"cat {tmp_path}/input | PYTHON", READ.replace("'", '"'), tmp_path)
    spool, tail = done.stdout.split()
    assert tail == b"xyz"
    assert Path(spool.decode()).parent.parent == tmp_path
    assert [p.name for p in tmp_path.iterdir()] == ["input"]


@pytest.mark.parametrize(
    ("shell", "code", "says"),
    [
        ("true | PYTHON", 66, b"is empty"),
        ("PYTHON <&-", 66, b"is closed"),
    ],
)
def test_no_input_is_said_in_a_line(tmp_path: Path, shell: str, code: int, says: bytes) -> None:
    done = run(shell, READ.replace("'", '"'), tmp_path)
    assert done.returncode == code, done
    assert says in done.stdout


def test_stdout_gets_every_byte(tmp_path: Path) -> None:
    done = run("PYTHON | wc -c", WRITE, tmp_path)
    assert done.stdout.strip() == b"10000000"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("shell", "says"),
    [("PYTHON | head -c 1 > /dev/null", b"closed by its reader"), ("PYTHON > /dev/full", b"space")],
)
def test_output_that_cannot_be_written_ends_with_73(
    tmp_path: Path, shell: str, says: bytes
) -> None:
    done = run(shell, WRITE, tmp_path)
    assert done.returncode == 73, done
    assert says in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_named_file_is_itself(tmp_path: Path) -> None:
    with input_path(tmp_path / "a.tif") as path:
        assert path == tmp_path / "a.tif"
