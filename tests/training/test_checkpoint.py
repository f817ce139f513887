from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from support import limited_files

from lcmap.errors import CannotWriteError, CheckpointError
from lcmap.training.checkpoint import checkpoint_path, read_checkpoint, write_checkpoint

SETTINGS = {"seed": 1, "recipe": {"name": "default", "jitter": None}, "tile indexes": ["a", "b"]}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = checkpoint_path(tmp_path / "model.onnx")
    assert path == tmp_path / "model.checkpoint.pt"
    write_checkpoint(path, SETTINGS, {"weights": {"a": torch.arange(3)}, "rows": [{"loss": 0.5}]})
    state = read_checkpoint(path, SETTINGS)
    assert torch.equal(state["weights"]["a"], torch.arange(3))
    assert state["rows"] == [{"loss": 0.5}]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kib", [0, 8])
def test_a_full_disk_is_said_and_the_earlier_one_stays(tmp_path: Path, kib: int) -> None:
    path = tmp_path / "c.pt"
    write_checkpoint(path, SETTINGS, {"epoch": 1})
    with limited_files(kib), pytest.raises(CannotWriteError, match=r"c\.pt: no space left; free"):
        write_checkpoint(path, SETTINGS, {"weights": torch.zeros(10_000)})
    assert read_checkpoint(path, SETTINGS) == {"epoch": 1}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (SETTINGS | {"seed": 2}, "seed 1, this one has 2"),
        (SETTINGS | {"quantiles": "image"}, "quantiles None, this one has image"),
        (SETTINGS | {"recipe": {"name": "default", "jitter": 1}}, "recipe jitter None, this one"),
        (
            {"seed": 1, "recipe": SETTINGS["recipe"]},
            r"tile indexes \['a', 'b'\], this one has None",
        ),
    ],
)
def test_other_settings_are_refused_by_name(
    tmp_path: Path, settings: dict[str, Any], said: str
) -> None:
    path = tmp_path / "c.pt"
    write_checkpoint(path, SETTINGS, {})
    with pytest.raises(CheckpointError, match=f"begun with {said}"):
        read_checkpoint(path, settings)


def test_a_setting_that_is_none_may_be_left_out(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    write_checkpoint(path, SETTINGS | {"quantiles": None}, {"epoch": 1})
    assert read_checkpoint(path, SETTINGS) == {"epoch": 1}


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut off"])
def test_damage_is_said_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c.pt"
    path.write_bytes(content)
    with pytest.raises(
        CheckpointError, match="is not a checkpoint of lcmap, or is damaged"
    ) as caught:
        read_checkpoint(path, SETTINGS)
    assert caught.value.exit_code == 65 and "\n" not in str(caught.value)


def test_a_truncated_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    write_checkpoint(path, SETTINGS, {"weights": torch.zeros(1000)})
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(CheckpointError):
        read_checkpoint(path, SETTINGS)


@pytest.mark.parametrize(
    "content", [{"version": 2, "settings": 1, "state": {}}, {"version": 2}, [2], None]
)
def test_other_content_is_refused(tmp_path: Path, content: object) -> None:
    path = tmp_path / "c.pt"
    torch.save(content, path)
    with pytest.raises(CheckpointError, match="is not a checkpoint of lcmap, or is damaged"):
        read_checkpoint(path, SETTINGS)


def test_every_byte_of_a_checkpoint_may_be_damaged(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    write_checkpoint(path, SETTINGS, {"rows": [{"loss": 0.5}]})
    content = path.read_bytes()
    start = content.index(b"data.pkl")
    for place in range(start, start + 200):
        path.write_bytes(content[:place] + b"\x80" + content[place + 1 :])
        with suppress(CheckpointError):
            read_checkpoint(path, SETTINGS)


def test_a_file_with_code_inside_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    torch.save({"version": 1, "settings": SETTINGS, "state": {"run": print}}, path)
    with pytest.raises(CheckpointError):
        read_checkpoint(path, SETTINGS)


def test_a_checkpoint_of_an_earlier_layout_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    torch.save({"version": 1, "settings": SETTINGS, "state": {"run": {}}}, path)
    with pytest.raises(CheckpointError, match="was written by another version of lcmap"):
        read_checkpoint(path, SETTINGS)
