"""A study as its user runs it: declared, carried out, continued, set in tables."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import study as command
from support import EXAMPLE_DATA, PROJECT
from trials import networks, running
from trials.costing import contender_costs
from trials.declaration import Budget, Study, read_study
from trials.rendering import costs_to_markdown
from trials.running import Folder, carry_out

from lcmap.accuracy.measures import scores
from lcmap.errors import DataError
from lcmap.training.recipe import DEFAULT, Jitter
from lcmap.training.trainer import Trainer

HEAD = """
name = "tiny"
baseline = "plain"
seeds = [0]
threads = 1
budget = { steps = 3 }
"""
PLAIN = """
[[contenders]]
name = "plain"
recipe = { width = 4, depth = 2, crop = 32, batch_size = 2 }
"""
GROUND = f"""
[[grounds]]
name = "out"
protocol = "leave-one-zone-out"
folder = "{EXAMPLE_DATA.as_posix()}"
zones = ["suburb", "lagoon"]
image = "{{zone}}_rgbn.tif"
labels = "{{zone}}_labels.tif"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "study.toml"
    path.write_text(text)
    return path


def study_of(folder: Path, text: str = HEAD + PLAIN + GROUND) -> Study:
    return read_study(written(folder, text))


@pytest.mark.parametrize(
    "path", sorted((PROJECT / "benchmarks" / "studies").glob("*.toml")), ids=lambda path: path.stem
)
def test_the_studies_that_are_shipped_can_be_read(path: Path) -> None:
    study = read_study(path)
    runs = list(study.runs)
    assert len({run.name for run in runs}) == len(runs)
    assert len({run.digest for run in runs}) == len(runs)
    zone_out = [run for run in runs if run.ground.protocol == "leave-one-zone-out"]
    if zone_out:
        assert {run.fold for run in zone_out} == {"0", "1", "2", "4", "5"}
    for contender in study.contenders:
        assert contender.recipe.patience is None  # the budget alone ends a run


@pytest.mark.parametrize(
    "path", sorted((PROJECT / "benchmarks" / "results").iterdir()), ids=lambda path: path.name
)
def test_the_results_that_are_shipped_are_of_runs_of_their_study(path: Path) -> None:
    study = read_study(PROJECT / "benchmarks" / "studies" / f"{path.name}.toml")
    results = Folder(path).results(study.runs)
    files = [file for file in path.rglob("*") if file.is_file()]
    assert len(results) == len(files) > 0
    for name, result in results.items():
        assert "/".join(map(str, result["run"].values())) == name
        assert 0 < result["test"]["miou"] < 1


def test_a_recipe_is_changed_field_by_field(tmp_path: Path) -> None:
    text = (
        HEAD
        + GROUND
        + PLAIN
        + """
[[contenders]]
name = "other"
base = "paper"
recipe = { crop = 64, jitter = { contrast = 1, band = 0.5, gamma = 0.0 }, learning_rate = 1 }
network = { skip = "reduce" }
[[contenders]]
name = "whole"
recipe = { crop = false, jitter = false, patience = 5 }
[[contenders]]
name = "levers"
recipe = { jitter = { content = 0.5 }, sampling = { balance = 1 } }
[[contenders]]
name = "parts"
recipe = { jitter = { band = 0.2 }, loss = { dice = 1, border = 2 } }
[[contenders]]
name = "seeing-far"
recipe = { stem = "half", context = 2, reparametrised = true, clip = [0, 1.5] }
"""
    )
    plain, other, whole, levers, parts, far = study_of(tmp_path, text).contenders
    assert (plain.recipe.width, plain.recipe.optimizer) == (4, DEFAULT.optimizer)
    assert (other.recipe.optimizer, other.recipe.crop) == ("adam", 64)
    assert other.recipe.jitter == Jitter(1.0, 0.5, 0.0)
    assert (other.recipe.learning_rate, other.size.skip) == (1.0, "reduce")
    # a table changes the fields of the recipe's
    assert DEFAULT.jitter is not None
    assert levers.recipe.jitter == replace(DEFAULT.jitter, content=0.5)
    assert levers.recipe.sampling == replace(DEFAULT.sampling, balance=1.0)
    assert (whole.recipe.crop, whole.recipe.jitter, whole.recipe.patience) == (None, None, 5)
    assert plain.recipe.architecture == replace(DEFAULT.architecture, width=4, depth=2)
    assert far.recipe.architecture == replace(
        DEFAULT.architecture, stem="half", context=2, reparametrised=True, clip=(0.0, 1.5)
    )
    assert parts.recipe.jitter == replace(DEFAULT.jitter, band=0.2)
    assert parts.recipe.loss == replace(DEFAULT.loss, dice=1.0, border=2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD + PLAIN, "the study: lacks grounds"),
        (HEAD + GROUND, "has no contenders"),
        (HEAD + PLAIN + PLAIN + GROUND, "names one of its contenders twice"),
        (HEAD + PLAIN.replace('"plain"', '"a/b"') + GROUND, "'a/b' is no name"),
        (HEAD + PLAIN.replace('"plain"', '"other"') + GROUND, "baseline 'plain' is no contender"),
        (HEAD.replace("steps = 3", "steps = 3, minutes = 1") + PLAIN + GROUND, "needs one of"),
        (HEAD.replace("steps = 3", "steps = 0") + PLAIN + GROUND, "needs one of"),
        (HEAD.replace("threads = 1", "threads = true") + PLAIN + GROUND, "threads: True is no int"),
        (HEAD + PLAIN.replace("width", "breadth") + GROUND, "recipe: unknown breadth; there are"),
        (HEAD + PLAIN.replace("= 4", '= "4"') + GROUND, "width: '4' is no int"),
        (
            HEAD + PLAIN.replace("width = 4", "sampling = { balance = 2 }") + GROUND,
            "contender plain, recipe, sampling: balance: 2 is not in 0 … 1",
        ),
        (
            HEAD + PLAIN.replace("width = 4", "jitter = { gain = 2 }") + GROUND,
            "recipe, jitter: unknown gain; there are contrast, band",
        ),
        (HEAD + PLAIN.replace("width = 4", "loss = { border = 0.5 }") + GROUND, "0.5 is no int"),
        (HEAD + PLAIN.replace("width = 4", "loss = { dice = -1 }") + GROUND, "dice of the loss is"),
        (HEAD + PLAIN + 'base = "none"\n' + GROUND, "base 'none' is none of default, paper"),
        (
            HEAD + PLAIN + 'network = { skip = "half" }\n' + GROUND,
            "skip: 'half' is none of concat, reduce",
        ),
        (
            HEAD + PLAIN + 'network = { depth = 2 }\nsmp = { architecture = "Unet" }\n' + GROUND,
            "network is of lcmap's own",
        ),
        (HEAD + PLAIN.replace("width = 4", "clip = [1]") + GROUND, "clip: has 1 values, not 2"),
        (HEAD + PLAIN.replace("width = 4", "clip = 1") + GROUND, "clip: is no array"),
        (HEAD + PLAIN + 'smp = { encoder = "resnet34" }\n' + GROUND, "smp: lacks architecture"),
        (HEAD + PLAIN + GROUND.replace('"suburb", ', ""), "needs two zones or more"),
        (HEAD + PLAIN + GROUND.replace("leave-one-zone-out", "random"), "is none of leave-one"),
        (HEAD + PLAIN + GROUND + 'sensors = ["30m"]\n', "sensors go with protocol berlin"),
        (HEAD + PLAIN + GROUND.replace("{zone}_rgbn", "{zone}_{gsd}m"), "its images needs gsd"),
        ("name = ", "is not valid TOML"),
    ],
)  # fmt: skip
def test_a_wrong_declaration_is_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DataError) as error:
        study_of(tmp_path, text)
    assert said in str(error.value)
    assert str(error.value).startswith(str(tmp_path / "study.toml"))
    assert "\n" not in str(error.value)


def test_a_digest_changes_with_what_decides_the_result_alone(tmp_path: Path) -> None:
    def digests(text: str) -> list[str]:
        return [run.digest for run in study_of(tmp_path, text).runs]

    text = HEAD + PLAIN + GROUND
    before = digests(text)
    for same in (
        text.replace('name = "tiny"', 'name = "other"'),
        text.replace('name = "plain"', 'title = "Plain"\nname = "plain"'),
        text.replace('name = "out"', 'title = "Out"\nname = "out"'),
        text.replace("seeds = [0]", "seeds = [0, 1]"),
        text.replace("width = 4", "width = 4, sampling = { paste = 0 }"),
        text.replace("width = 4", "width = 4, loss = { dice = 0 }"),
    ):
        assert digests(same)[: len(before)] == before
    for other in (
        text.replace("steps = 3", "steps = 4"),
        text.replace("threads = 1", "threads = 2"),
        text.replace("width = 4", "width = 8"),
        text.replace("width = 4", "width = 4, sampling = { balance = 0.25 }"),
        text.replace("width = 4", "width = 4, loss = { dice = 1 }"),
        text.replace("seeds = [0]", "seeds = [1]"),
        text + "block = 64\n",
    ):
        assert not set(digests(other)) & set(before)


@pytest.fixture(scope="module")
def carried_out(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Folder]:
    """A study of a small network, of which one of two zones was left out."""
    folder = tmp_path_factory.mktemp("study")
    study = study_of(folder)
    results = Folder(folder / "work")
    with pytest.MonkeyPatch.context() as patch:
        # the export alone takes longer than all else
        patch.setattr(networks, "_nanoseconds", lambda *_: 512**2)
        patch.setattr(running, "_SECONDS_BETWEEN_CHECKPOINTS", 0)
        chosen = [run for run in study.runs if run.fold == "suburb"]
        failed = carry_out(chosen, results, EXAMPLE_DATA)
    assert not failed
    return study, results


def test_a_run_leaves_all_that_tables_need(carried_out: tuple[Study, Folder]) -> None:
    study, folder = carried_out
    (run,) = [run for run in study.runs if run.fold == "suburb"]
    (found,) = folder.results([run]).values()
    assert found["declaration"] == run.identity
    assert found["training"]["steps"] == 3
    assert found["training"]["processor_seconds"] > 0
    assert found["network"]["parameters"] < 20_000
    assert found["network"]["predict_ns_per_pixel"] == 1.0
    assert found["test"]["images"] == ["zonesuburb.stack.tif"]
    assert found["machine"]["libraries"]["torch"]
    # the whole zone is tested, and only it
    matrix = np.array(found["test"]["matrix"])
    blocks = found["test"]["blocks"]
    margins = np.sum([block["margins"] for block in blocks], axis=0)
    assert len(blocks) == 25
    assert margins[1].tolist() == matrix.sum(axis=1).tolist()
    assert margins[0].sum() / matrix.sum() == pytest.approx(found["test"]["oa"])
    assert scores(margins).overall[0] == pytest.approx(found["test"]["miou"])
    pixels, confidence, agreed = np.sum([block["calibration"] for block in blocks], axis=0)
    assert pixels.sum() == matrix.sum()
    assert agreed.sum() == np.trace(matrix)
    assert np.all((confidence >= 0) & (confidence <= pixels))
    after = np.sum([block["calibrated"] for block in blocks], axis=0)
    assert (after[0].sum(), after[2].sum()) == (pixels.sum(), agreed.sum())
    error = np.abs(after[1] - after[2]).sum() / pixels.sum()
    assert found["test"]["ece_calibrated"] == pytest.approx(error, abs=1e-3)
    assert len(found["training"]["temperatures"]) == len(matrix)


def test_no_tile_of_the_zone_left_out_trains(carried_out: tuple[Study, Folder]) -> None:
    study, folder = carried_out
    (run,) = [run for run in study.runs if run.fold == "suburb"]
    (found,) = folder.results([run]).values()
    (path,) = folder.grounds.glob("*/zonelagoon.joined.tiles.geojson")
    tiles = [feature["properties"] for feature in json.loads(path.read_text())["features"]]
    assert {tile["image"] for tile in tiles} == {"zonelagoon.stack.tif"}
    assert {tile["split"] for tile in tiles} == {"train", "validation"}
    assert found["training"]["tiles"]["train"] == sum(t["split"] == "train" for t in tiles)


def test_a_run_with_a_result_is_not_made_again(
    carried_out: tuple[Study, Folder], monkeypatch: pytest.MonkeyPatch
) -> None:
    study, folder = carried_out
    monkeypatch.setattr(running, "carry_out_one", lambda *_: pytest.fail("it is made again"))
    runs = [run for run in study.runs if run.fold == "suburb"]
    assert carry_out(runs, folder, EXAMPLE_DATA) == []


def test_a_run_that_was_interrupted_goes_on(
    carried_out: tuple[Study, Folder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, folder = carried_out
    text = (HEAD + PLAIN + GROUND).replace("crop = 32", "crop = 32, whole_passes = true")
    text = text.replace("steps = 3", "steps = 7")  # and an epoch has fewer
    every_term = "dice = 1, lovasz = 1, boundary = 1, border = 1, smoothing = 0.1, robust = 0.5"
    text = text.replace("crop = 32", f"crop = 32, loss = {{ {every_term} }}")
    run = next(iter(study_of(tmp_path, text).runs))
    monkeypatch.setattr(running, "_SECONDS_BETWEEN_CHECKPOINTS", 0)
    monkeypatch.setattr(networks, "_nanoseconds", lambda *_: 0)
    whole, epoch = [], Trainer.epoch

    def stopped(trainer: Trainer) -> None:
        if trainer.rows:
            raise KeyboardInterrupt
        epoch(trainer)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "epoch", stopped)
        with pytest.raises(KeyboardInterrupt):
            carry_out([run], folder, EXAMPLE_DATA)
    assert folder.state(run) == "begun"
    for checkpoint in (folder.checkpoint(run), tmp_path / "none.pt"):
        with monkeypatch.context() as patch:
            patch.setattr(Folder, "checkpoint", lambda *_, path=checkpoint: path)
            whole.append(running.carry_out_one(run, folder, EXAMPLE_DATA))
    continued, at_once = (found["training"] for found in whole)
    assert continued["steps"] == 7
    assert len(continued["curve"]) > 1
    for row, other in zip(continued["curve"], at_once["curve"], strict=True):
        assert row["loss"] == pytest.approx(other["loss"], rel=1e-4)
    assert whole[0]["test"]["matrix"] == whole[1]["test"]["matrix"]


def test_a_run_that_fails_is_recorded_and_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, folder = study_of(tmp_path), Folder(tmp_path / "work")
    first, second = study.runs
    asked = []

    def carry_out_one(run: object, *_: object) -> dict[str, object]:
        asked.append(run)
        if run == first:
            raise MemoryError("no memory")
        return {"test": {"miou": 0.5}}

    monkeypatch.setattr(running, "carry_out_one", carry_out_one)
    assert carry_out(study.runs, folder, tmp_path) == [first]
    assert asked == [first, second]
    assert [folder.state(run) for run in (first, second)] == ["failed", "done"]
    recorded = json.loads(folder.failure(first).read_text())
    assert recorded["error"] == "MemoryError: no memory"
    assert recorded["declaration"] == first.identity
    monkeypatch.setattr(running, "carry_out_one", lambda *_: {"test": {"miou": 0.5}})
    assert carry_out(study.runs, folder, tmp_path) == []
    assert not folder.failure(first).exists()


def test_a_run_that_another_process_has_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, folder = study_of(tmp_path), Folder(tmp_path / "work")
    first, second = study.runs
    monkeypatch.setattr(running, "carry_out_one", lambda *_: {"test": {"miou": 0.5}})
    folder.result(first).parent.mkdir(parents=True)
    with folder.lock(first):
        assert folder.state(first) == "in work"
        assert carry_out(study.runs, folder, tmp_path) == []
    assert [folder.state(run) for run in (first, second)] == ["to do", "done"]


def test_the_command_lists_runs_and_says_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, work = written(tmp_path, HEAD + PLAIN + GROUND), tmp_path / "work"
    assert command.main([str(path), "--work", str(work), "--list", "--only", "*/lagoon/*"]) == 0
    assert capsys.readouterr().out == "to do    plain/out/lagoon/0\n1 to do\n"
    assert command.main([str(path), "--work", str(work), "--only", "none/*"]) == 2
    assert "no run matches --only" in capsys.readouterr().err
    assert command.main([str(path), "--work", str(work), "--table", str(work / "t.md")]) == 65
    assert "no run has a result" in capsys.readouterr().err


def test_a_budget_says_what_it_is() -> None:
    assert Budget(processor_minutes=2.5).text == "2.5 processor minutes"
    assert Budget(steps=100).text == "100 steps"


def test_a_contender_may_have_a_budget_of_its_own(tmp_path: Path) -> None:
    other = PLAIN.replace("plain", "other").rstrip() + "\nbudget = { steps = 2 }\n"
    study = study_of(tmp_path, HEAD + PLAIN + other + GROUND)
    assert [run.budget.steps for run in study.runs] == [3, 2] * 2
    with pytest.raises(DataError, match="contender other: budget needs one of"):
        study_of(tmp_path, HEAD + PLAIN + other.replace("steps = 2", "steps = 0") + GROUND)


def test_costs_are_of_each_network_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "_nanoseconds", lambda *_: 512**2)
    wide = PLAIN.replace("plain", "wide").replace("width = 4", "width = 8")
    alike = PLAIN.replace("plain", "alike").replace("width", "learning_rate = 0.1, width")
    study = study_of(tmp_path, HEAD + PLAIN + alike + wide + GROUND)
    found = contender_costs(study, tmp_path, EXAMPLE_DATA)
    assert list(found) == ["plain", "wide"]
    assert found["wide"].mac_per_pixel > 1.2 * found["plain"].mac_per_pixel
    assert all(cost.step > 0 and cost.prediction == 1.0 for cost in found.values())
    _, _, plain, wide_row = costs_to_markdown(found).splitlines()
    assert plain.startswith("| plain | ") and plain.count("× 1.00") == 2
    assert wide_row.startswith("| wide | ")
