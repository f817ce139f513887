"""Several processes that train one model, started by torchrun."""

from __future__ import annotations

import copy
import csv
import dataclasses
import itertools
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support import Run, run_lcmap
from threaded_ranks import in_ranks

from lcmap.dataset.reading import TileReader
from lcmap.errors import UsageError
from lcmap.launch import Launch
from lcmap.network import Architecture, LandCoverNetwork
from lcmap.training.batches import Sampler
from lcmap.training.export import WEIGHT_PREFIX
from lcmap.training.options import TrainOptions
from lcmap.training.ranks import Ranks, threads
from lcmap.training.recipe import DEFAULT
from lcmap.training.samples import SampleSource, read_training_set
from lcmap.training.trainer import Trainer

MakeIndex = Callable[..., Path]
IN_FLOAT32 = str(Path(__file__).with_name("lcmap_in_float32.py"))
"""In bfloat16 halves of a batch round otherwise than the whole, and Adam makes much of it."""
KILLED = str(Path(__file__).with_name("lcmap_with_a_killed_rank.py"))
PAPER = ["--recipe", "paper", "--batch-size", "2", "--epochs", "3"]
"""Three tiles, two a step: of the last one a pass, one of two processes gets nothing."""


def begin(*words: object) -> subprocess.Popen[str]:
    """Begin two processes by torchrun."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return subprocess.Popen(
        [*torchrun, "--nproc-per-node=2", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def end(run: subprocess.Popen[str]) -> Run:
    stdout, stderr = run.communicate(timeout=300)
    return Run(run.returncode, stdout, stderr)


def torchrun(*words: object) -> Run:
    return end(begin(*words))


def said(run: Run) -> list[str]:
    """Return what ended lcmap, apart from what torchrun says."""
    return [line for line in run.stderr.splitlines() if line.startswith("lcmap: ")]


def train_words(index: Path, output: Path, *words: str) -> list[str]:
    size = ["--width", "4", "--depth", "2", "--threads", "1"]
    return ["train", str(index), "-o", str(output), *size, *words]


def uneven(make_index: MakeIndex) -> Path:
    """Make tiles of which some have far fewer labelled pixels than others."""
    codes = np.random.default_rng(1).choice([2, 5], (48, 48)).astype(np.uint8)
    codes[:14] = codes[:, 34:] = 0
    return make_index(codes=codes)


def curves(model: Path) -> list[dict[str, str]]:
    """Return the rows of a model's curves."""
    return list(csv.DictReader(model.with_suffix(".curves.csv").read_text().splitlines()))


def assert_close(model: Path, other: Path) -> None:
    """Check that two models have the same weights, and were trained alike."""
    graphs = [onnx.load(str(path)).graph for path in (model, other)]
    one, two = (
        {
            tensor.name: onnx.numpy_helper.to_array(tensor)
            for tensor in graph.initializer
            if tensor.name.startswith(WEIGHT_PREFIX)
        }
        for graph in graphs
    )
    assert one.keys() == two.keys()
    for name, weights in one.items():
        np.testing.assert_allclose(two[name], weights, rtol=1e-4, atol=1e-4, err_msg=name)
    for row, same in zip(curves(model), curves(other), strict=True):
        for name in row.keys() - {"seconds"}:
            if same[name] != row[name]:
                assert float(same[name]) == pytest.approx(float(row[name]), rel=1e-4, nan_ok=True)


@pytest.fixture
def in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let lcmap in this process compute as `IN_FLOAT32` and `KILLED` do."""
    monkeypatch.setattr("lcmap.training.trainer.computes_bfloat16", lambda _: False)


@given(st.integers(0, 40), st.integers(1, 9))
def test_shares_follow_each_other_and_are_alike(count: int, size: int) -> None:
    shares = [Ranks(Launch(rank, size)).share(count) for rank in range(size)]
    items = [list(range(count))[share] for share in shares]
    assert [item for part in items for item in part] == list(range(count))
    assert max(map(len, items)) - min(map(len, items)) <= 1


@pytest.mark.parametrize(
    ("environment", "wanted", "expected"),
    [
        ({}, None, 3),  # of the five that PyTorch takes by itself
        ({"OMP_NUM_THREADS": "5"}, None, 5),
        ({}, 4, 4),
        ({"OMP_NUM_THREADS": "1", "LOCAL_WORLD_SIZE": "2"}, None, 1),
        ({"OMP_NUM_THREADS": "2", "LOCAL_WORLD_SIZE": "2"}, None, 5),
    ],
)
def test_pytorch_computes_with_the_threads_that_are_asked_for_or_available(
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    wanted: int | None,
    expected: int,
) -> None:
    monkeypatch.setattr("lcmap.training.ranks.available_threads", lambda: 3)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    started = {"TORCHELASTIC_RUN_ID": "a", "RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}
    for name, value in ({"LOCAL_WORLD_SIZE": "1"} | started | environment).items():
        monkeypatch.setenv(name, value)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(5)
        with threads(wanted):
            assert torch.get_num_threads() == expected
        assert torch.get_num_threads() == 5
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("size", [1, 2, 4, 9])
def test_a_sample_does_not_depend_on_how_many_there_are(make_index: MakeIndex, size: int) -> None:
    data = read_training_set([make_index()])
    with TileReader(data.nomenclature) as reader:
        source = SampleSource(reader)
        whole = Sampler(source, data.train, DEFAULT, 16, 0).batch(5)
        parts = [
            Sampler(source, data.train, DEFAULT, 16, 0, Ranks(Launch(rank, size))).batch(5)
            for rank in range(size)
        ]
    assert torch.equal(torch.cat([part.images[0] for part in parts]), whole.images[0])
    assert torch.equal(torch.cat([part.labels for part in parts]), whole.labels)


def test_a_batch_that_cannot_be_divided_is_refused() -> None:
    Ranks(Launch(0, 4)).check_batch(8)
    with pytest.raises(UsageError, match=r"`batch_size=8`: cannot .* 3 processes; use a multiple"):
        Ranks(Launch(0, 3)).check_batch(8)


@pytest.mark.usefixtures("in_float32")
def test_two_processes_train_what_one_does(make_index: MakeIndex, tmp_path: Path) -> None:
    index, one, two = uneven(make_index), tmp_path / "one.onnx", tmp_path / "two.onnx"
    alone = run_lcmap(*train_words(index, one, *PAPER))
    assert alone.exit_code == 0
    before = set(tmp_path.iterdir())
    several = torchrun(IN_FLOAT32, *train_words(index, two, *PAPER))
    assert several.exit_code == 0, several.stderr
    assert_close(one, two)
    # one of them speaks and writes
    assert len(several.stdout.splitlines()) == len(alone.stdout.splitlines()) == 4
    assert [several.stderr.count(f"epoch {number}:") for number in (1, 2, 3)] == [1, 1, 1]
    beside = {".two.onnx.lcmap-made", "two.onnx", "two.curves.csv", "two.curves.png"}
    assert {path.name for path in set(tmp_path.iterdir()) - before} == beside


@pytest.mark.parametrize("hurry", [0.2, 5.0])
def test_all_end_with_the_step_at_which_the_first_says_that_time_is_up(
    make_index: MakeIndex, monkeypatch: pytest.MonkeyPatch, hurry: float
) -> None:
    monkeypatch.setattr("lcmap.training.trainer.computes_bfloat16", lambda _: False)
    data = read_training_set([uneven(make_index)])
    options = TrainOptions(recipe="paper", batch_size=2, minutes=1)

    def train(ranks: Ranks) -> Trainer:
        # a second of the first a step, and of the other more or less
        seconds = itertools.count(step=1.0 if ranks.launch.rank == 0 else hurry)
        network = LandCoverNetwork([2], 3, Architecture(width=2, depth=1))
        with TileReader(data.nomenclature) as reader:
            trainer = Trainer(
                data, SampleSource(reader), network, options.chosen_recipe(), options, ranks=ranks,
                now=lambda: next(seconds),
            )  # fmt: skip
            trainer.start_as_first()
            while not trainer.ended:
                trainer.epoch()
        return trainer

    first, other = in_ranks(2, train)
    assert first.rows[-1]["seconds"] >= 50
    assert first.steps == other.steps and len(first.rows) == len(other.rows) > 1
    for name, value in first.evaluated.state_dict().items():
        assert torch.equal(value, other.evaluated.state_dict()[name]), name


@pytest.mark.parametrize("having", [(True, True), (True, False), (False, True), (False, False)])
def test_all_compute_in_bfloat16_or_none(
    make_index: MakeIndex, monkeypatch: pytest.MonkeyPatch, having: tuple[bool, bool]
) -> None:
    data = read_training_set([make_index()])
    options = TrainOptions(recipe="paper", batch_size=2)
    has = threading.local()
    monkeypatch.setattr("lcmap.training.trainer.computes_bfloat16", lambda _: has.it)

    def computes(ranks: Ranks) -> bool:
        has.it = having[ranks.launch.rank]
        network = LandCoverNetwork([2], 3, Architecture(width=2, depth=1))
        with TileReader(data.nomenclature) as reader:
            recipe = options.chosen_recipe()
            trainer = Trainer(data, SampleSource(reader), network, recipe, options, ranks=ranks)
        return trainer.bfloat16

    assert in_ranks(2, computes) == [all(having)] * 2


@pytest.mark.usefixtures("in_float32")
@pytest.mark.parametrize("seed", range(4))
def test_all_go_as_far_from_the_initial_model_as_one_would(
    make_index: MakeIndex, seed: int
) -> None:
    data = read_training_set([uneven(make_index)])
    data = dataclasses.replace(data, validation=data.train)
    options = TrainOptions(batch_size=2, initial_model="initial.onnx")
    torch.manual_seed(seed)
    initial = LandCoverNetwork([2], 3, Architecture(width=4, depth=1))
    initial(torch.rand(2, 2, 8, 8))  # its statistics
    moves = {name: torch.randn(value.shape) for name, value in initial.state_dict().items()}

    def choose(ranks: Ranks) -> float:
        network, recipe = copy.deepcopy(initial), options.chosen_recipe()
        with TileReader(data.nomenclature) as reader:
            trainer = Trainer(data, SampleSource(reader), network, recipe, options, ranks=ranks)
            trainer.best = {
                name: value + 0.5 * moves[name] if "running" not in name else value
                for name, value in network.state_dict().items()
                if value.is_floating_point()
            }
            trainer.rows, trainer.best_epoch = [{"miou": 0.0}], 1
            trainer.choose_share()
        return trainer.share

    (alone,) = in_ranks(1, choose)
    assert in_ranks(2, choose) == [alone, alone]


@pytest.mark.slow
def test_two_processes_end_together_when_the_time_is_up(
    make_index: MakeIndex, tmp_path: Path
) -> None:
    output = tmp_path / "m.onnx"
    words = train_words(uneven(make_index), output, "--batch-size", "2", "--minutes", "0.1")
    run = torchrun("-m", "lcmap", *words)
    assert run.exit_code == 0, run.stderr
    assert 0 < float(curves(output)[-1]["seconds"]) < 60
    assert not output.with_suffix(".checkpoint.pt").exists()


@pytest.mark.slow
def test_two_processes_learn_what_one_does_without_labels(
    make_index: MakeIndex, tmp_path: Path
) -> None:
    index, one, two = uneven(make_index), tmp_path / "one.onnx", tmp_path / "two.onnx"
    image = np.random.default_rng(3).integers(1, 200, (2, 48, 48)).astype(np.uint8)
    image = make_index("other", image=image).with_name("other.tif")
    # a step has one pair of crops without labels: of two processes one gets nothing
    words = ["--batch-size", "2", "--epochs", "1", "--unlabelled", str(image)]
    alone = run_lcmap(*train_words(index, one, *words))
    assert alone.exit_code == 0
    several = torchrun(IN_FLOAT32, *train_words(index, two, *words))
    assert several.exit_code == 0, several.stderr
    losses = [float(curves(model)[0]["loss"]) for model in (one, two)]
    # rounding decides where a probability is just at the threshold
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


def killed_and_resumed(rank: int, index: Path, tmp_path: Path) -> Path:
    """Return the model of a run of which one process was killed, and that one process finished."""
    parts = tmp_path / "parts.onnx"
    words = train_words(index, parts, *PAPER)
    killed = torchrun(KILLED, rank, 3, *words)
    assert killed.exit_code != 0
    (line,) = said(killed)
    assert re.search("the same command with --resume goes on after the last whole epoch", line)
    assert not parts.exists() and parts.with_suffix(".checkpoint.pt").exists()
    resumed = run_lcmap(*words, "--resume")
    assert resumed.exit_code == 0 and "epoch 1:" not in resumed.stderr
    return parts


@pytest.mark.slow
@pytest.mark.usefixtures("in_float32")
def test_one_that_is_killed_ends_all_and_one_process_goes_on(
    make_index: MakeIndex, tmp_path: Path
) -> None:
    assert killed_and_resumed(1, uneven(make_index), tmp_path).exists()


@pytest.mark.slow
@pytest.mark.usefixtures("in_float32")
def test_the_first_may_be_killed_too(make_index: MakeIndex, tmp_path: Path) -> None:
    index, whole = uneven(make_index), tmp_path / "whole.onnx"
    parts = killed_and_resumed(0, index, tmp_path)
    assert run_lcmap(*train_words(index, whole, *PAPER)).exit_code == 0
    assert_close(whole, parts)


@pytest.mark.slow
@pytest.mark.usefixtures("in_float32")
def test_two_processes_fine_tune_as_one_does(make_index: MakeIndex, tmp_path: Path) -> None:
    index, first = uneven(make_index), tmp_path / "first.onnx"
    one, two = tmp_path / "one.onnx", tmp_path / "two.onnx"
    assert run_lcmap(*train_words(index, first, "--epochs", "2")).exit_code == 0
    tuning = ("--init-from", str(first), "--epochs", "2", "--threads", "1")
    alone = run_lcmap("train", index, "-o", one, *tuning)
    assert alone.exit_code == 0, alone.stderr
    several = torchrun(IN_FLOAT32, "train", index, "-o", two, *tuning)
    assert several.exit_code == 0, several.stderr
    # Muon makes much of rounding
    losses = [[float(row["loss"]) for row in curves(model)] for model in (one, two)]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    kept = [
        {t.name: onnx.numpy_helper.to_array(t).tolist() for t in onnx.load(path).graph.initializer
         if ".running_" in t.name}
        for path in (first, one, two)
    ]  # fmt: skip
    assert kept[0] and kept[0] == kept[1] == kept[2]


@pytest.mark.slow
@pytest.mark.usefixtures("in_float32")
def test_two_processes_train_the_final_model_of_one(make_index: MakeIndex, tmp_path: Path) -> None:
    index, one, two = uneven(make_index), tmp_path / "one.onnx", tmp_path / "two.onnx"
    assert run_lcmap(*train_words(index, one, *PAPER, "--final")).exit_code == 0
    several = torchrun(IN_FLOAT32, *train_words(index, two, *PAPER, "--final"))
    assert several.exit_code == 0, several.stderr
    assert_close(one, two)
    assert several.stderr.count("on all tiles, epoch 1:") == 1


@pytest.mark.slow
@pytest.mark.usefixtures("in_float32")
def test_torchrun_may_start_all_again_where_one_was_killed(
    make_index: MakeIndex, tmp_path: Path
) -> None:
    index, one, two = uneven(make_index), tmp_path / "one.onnx", tmp_path / "two.onnx"
    words = train_words(index, two, *PAPER, "--resume")
    run = torchrun("--max-restarts=1", KILLED, 1, 3, *words)
    assert run.exit_code == 0, run.stderr
    assert run_lcmap(*train_words(index, one, *PAPER)).exit_code == 0
    assert_close(one, two)


@pytest.mark.slow
@pytest.mark.usefixtures("in_float32")
def test_two_go_on_where_one_was_stopped(make_index: MakeIndex, tmp_path: Path) -> None:
    index, one, two = make_index(), tmp_path / "one.onnx", tmp_path / "two.onnx"
    words = train_words(index, two, "--batch-size", "4", "--epochs", "3")
    run = subprocess.run(
        [sys.executable, KILLED, "0", "70", *words], env=os.environ | {"RANK": "0"}, check=False
    )
    assert run.returncode == -signal.SIGKILL
    resumed = torchrun(IN_FLOAT32, *words, "--resume")
    assert resumed.exit_code == 0 and "epoch 1:" not in resumed.stderr
    whole = train_words(index, one, "--batch-size", "4", "--epochs", "3")
    assert run_lcmap(*whole).exit_code == 0
    assert_close(one, two)


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_all_in_one_line(
    make_index: MakeIndex, tmp_path: Path, signum: signal.Signals
) -> None:
    output = tmp_path / "m.onnx"
    run = begin("-m", "lcmap", *train_words(make_index(), output, "--epochs", "100000"))
    while not output.with_suffix(".checkpoint.pt").exists():
        assert run.poll() is None
        time.sleep(0.05)
    run.send_signal(signum)
    ended = end(run)
    assert ended.exit_code != 0
    (line,) = said(ended)
    assert line.startswith("lcmap: interrupted; the same command with --resume goes on")
    assert not output.exists() and not list(tmp_path.glob("*.lcmap-????????"))


@pytest.mark.slow
def test_what_is_refused_or_done_is_said_once(make_index: MakeIndex, tmp_path: Path) -> None:
    index, output = make_index(), tmp_path / "m.onnx"
    refused = torchrun("-m", "lcmap", *train_words(index, output, "--batch-size", "3"))
    expected = "lcmap: --batch-size 3: cannot be divided among 2 processes; use a multiple of 2"
    assert refused.exit_code != 0 and said(refused) == [expected]
    wrong = torchrun("-m", "lcmap", *train_words(index, output, "--batches", "4"))
    assert wrong.exit_code != 0 and wrong.stderr.count("No such option") == 1
    output.touch()
    there = torchrun("-m", "lcmap", *train_words(index, output, *PAPER))
    expected = f"lcmap: {output}: exists already; --overwrite to replace it"
    assert there.exit_code != 0 and said(there) == [expected]
    output.unlink()
    made = run_lcmap(*train_words(index, output, *PAPER))
    assert made.exit_code == 0
    again = torchrun("-m", "lcmap", *train_words(index, output, *PAPER))
    assert again.exit_code == 0 and again.stderr.count("up to date") == 1
    assert again.stdout == made.stdout
