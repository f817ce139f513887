"""lcmap predict --scheduler: workers of a Dask cluster compute, to the bytes of one machine."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import rasterio
from every_command import FORMS
from small_cluster import Relay, SmallCluster, kill
from small_model import BANDS
from support import Run, write_raster

from lcmap.engines.choice import choose_engine
from lcmap.engines.compute import Compute
from lcmap.errors import InputMissingError, UnavailableError
from lcmap.inference.all_inputs import open_rasters
from lcmap.inference.band_groups import BandGroup
from lcmap.inference.cluster_connection import is_reachable
from lcmap.inference.cluster_worker import Job, PackedJob, compute_tiles
from lcmap.inference.computation import Computation
from lcmap.inference.options import ModelInputOptions
from lcmap.inference.precision import load_network
from lcmap.inference.resume.journal import read_records
from lcmap.inference.resume.work_folder import journal_path, work_folder_path
from lcmap.model_file import read_model
from lcmap.progress import silent
from lcmap.raster.quantile_tags import write_quantiles

Lcmap = Callable[..., Run]
FILES = ("map.tif", "c.tif", "m.tif", "p.tif", "map.qml", "map.tif.aux.xml")
COMMAND = (
    "predict image.tif -m model.onnx -o map.tif --confidence c.tif --probabilities p.tif "
    "--margin m.tif --engine onnxruntime --tile"
)
OFTEN = """
from lcmap.inference.resume import journal
journal.COMMIT_SECONDS = 0.02
from lcmap.cli import main
main()
"""
FAILS_TO_RECONNECT = """
from distributed import Client
reconnect = Client._reconnect
async def refused(**_):
    raise AssertionError
async def fails(client):
    client._ensure_connected = refused
    await reconnect(client)
Client._reconnect = fails
"""
"""As where the scheduler's answer comes together with other messages."""


@pytest.fixture
def folder(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    coarse = np.random.default_rng(3).integers(0, 256, (4, 20, 21))
    pixels = np.kron(coarse, np.ones((1, 10, 10))).astype(np.uint8)
    write_raster(tmp_path / "image.tif", pixels, names=BANDS)
    with rasterio.open(tmp_path / "image.tif", "r+") as dataset:
        write_quantiles(dataset, np.tile([5.0, 250.0], (4, 1)))
    shutil.copy(model, tmp_path / "model.onnx")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallCluster]:
    with SmallCluster(tmp_path_factory.mktemp("cluster")) as cluster:
        cluster.add_worker()
        cluster.add_worker()
        yield cluster


def taken(names: tuple[str, ...] = FILES) -> list[bytes]:
    """The bytes of files, which are removed, and the record of how they were made with them."""
    contents = [Path(name).read_bytes() for name in names]
    for name in (*names, ".map.tif.lcmap-made"):
        Path(name).unlink()
    return contents


def undisturbed(lcmap: Lcmap, tile: int, *options: str) -> list[bytes]:
    run = lcmap(*COMMAND.split(), tile, *options)
    assert run.exit_code == 0, run.stderr
    return taken()


def start(tile: int, *options: object, before: str = "") -> subprocess.Popen[bytes]:
    """Begin a run that commits often, in a process of its own, which does something before."""
    return subprocess.Popen(
        [sys.executable, "-c", before + OFTEN, *COMMAND.split(), str(tile), *map(str, options)],
        stderr=subprocess.PIPE,
        env=os.environ | {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "5s"},
    )


def wait_for_tiles(process: subprocess.Popen[bytes], count: int) -> None:
    """Wait until so many tiles are on record."""
    journal = journal_path(work_folder_path("map.tif"))
    while process.poll() is None and len(read_records(journal)) < count:
        time.sleep(0.01)


def finish(process: subprocess.Popen[bytes]) -> str:
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said.decode()
    return said.decode()


def test_the_map_is_that_of_one_machine(folder: Path, lcmap: Lcmap, cluster: SmallCluster) -> None:
    before = set(folder.iterdir())
    expected = undisturbed(lcmap, 100)
    run = lcmap(*COMMAND.split(), 100, "--scheduler", cluster.file)
    assert run.exit_code == 0, run.stderr
    assert "wrote map.tif (" in run.stderr
    assert taken() == expected
    assert set(folder.iterdir()) == before
    address = json.loads(cluster.file.read_bytes())["address"]
    assert address.startswith("tcp://")
    assert lcmap(*COMMAND.split(), 100, "--scheduler", address).exit_code == 0
    assert taken() == expected


def test_arrays_come_through_the_scheduler_where_workers_cannot_be_reached(
    folder: Path, lcmap: Lcmap, cluster: SmallCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = undisturbed(lcmap, 100)
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        unused = f"tcp://127.0.0.1:{nobody.getsockname()[1]}"
        assert is_reachable(unused)
    assert not is_reachable(unused)
    monkeypatch.setattr("lcmap.inference.cluster.is_reachable", lambda _: False)
    run = lcmap(*COMMAND.split(), 100, "--scheduler", cluster.file)
    assert run.exit_code == 0, run.stderr
    assert "workers cannot be reached from here" in run.stderr
    assert taken() == expected


def test_shards_are_computed_by_workers_too(
    folder: Path, lcmap: Lcmap, cluster: SmallCluster
) -> None:
    expected = undisturbed(lcmap, 100)
    for shard in ("1/2", "2/2"):
        where = ("--scheduler", cluster.file) if shard == "1/2" else ()
        run = lcmap(*COMMAND.split(), 100, "--shard", shard, *where)
        assert run.exit_code == 0, run.stderr
    assert lcmap("merge", "map.tif").exit_code == 0
    assert taken() == expected


def test_lost_and_added_workers_lose_no_tile(
    folder: Path, lcmap: Lcmap, tmp_path_factory: pytest.TempPathFactory
) -> None:
    expected = undisturbed(lcmap, 8)
    with SmallCluster(tmp_path_factory.mktemp("cluster")) as cluster:
        first, second = cluster.add_worker(), cluster.add_worker()
        process = start(8, "--scheduler", cluster.file)
        wait_for_tiles(process, 5)
        assert process.poll() is None
        kill(first)
        wait_for_tiles(process, 25)
        assert process.poll() is None
        kill(second)  # none is left
        cluster.add_worker()
        finish(process)
    assert taken() == expected


@pytest.mark.slow
def test_a_worker_that_hangs_is_given_up(
    folder: Path, lcmap: Lcmap, tmp_path_factory: pytest.TempPathFactory
) -> None:
    expected = undisturbed(lcmap, 8)
    with SmallCluster(tmp_path_factory.mktemp("cluster"), patience="1s") as cluster:
        first, _ = cluster.add_worker(), cluster.add_worker()
        process = start(8, "--scheduler", cluster.file)
        wait_for_tiles(process, 5)
        assert process.poll() is None
        first.send_signal(signal.SIGSTOP)
        finish(process)
    assert taken() == expected


@pytest.mark.parametrize(
    "before",
    [
        pytest.param("", id="as Dask does", marks=pytest.mark.slow),
        pytest.param(FAILS_TO_RECONNECT, id="Dask fails"),
    ],
)
def test_a_connection_that_is_lost_for_a_moment_does_not_end_the_run(
    folder: Path, lcmap: Lcmap, cluster: SmallCluster, before: str
) -> None:
    expected = undisturbed(lcmap, 8)
    with Relay(json.loads(cluster.file.read_bytes())["address"]) as relay:
        process = start(8, "--scheduler", relay.address, before=before)
        for count in (5, 25):
            wait_for_tiles(process, count)
            assert process.poll() is None
            for _ in range(5):  # and again while it connects
                relay.cut()
                time.sleep(0.05)
        said = finish(process)
    assert [line.split(" (")[0] for line in said.splitlines()] == ["wrote map.tif"]
    assert taken() == expected


def test_workers_bring_a_model_to_int8_alike(
    folder: Path, lcmap: Lcmap, cluster: SmallCluster
) -> None:
    expected = undisturbed(lcmap, 100, "--precision", "int8")
    run = lcmap(*COMMAND.split(), 100, "--precision", "int8", "--scheduler", cluster.file)
    assert run.exit_code == 0, run.stderr
    assert taken() == expected


def test_a_killed_run_goes_on_with_or_without_the_cluster(
    folder: Path, lcmap: Lcmap, tmp_path_factory: pytest.TempPathFactory
) -> None:
    expected = undisturbed(lcmap, 8)
    with SmallCluster(tmp_path_factory.mktemp("cluster")) as cluster:
        cluster.add_worker()
        process = start(8, "--scheduler", cluster.file)
        wait_for_tiles(process, 5)
        kill(process)
        process.communicate()
        process = start(8, "--scheduler", cluster.file)
        wait_for_tiles(process, 40)
        cluster.kill_scheduler()
        _, said = process.communicate(timeout=120)
    assert process.returncode == 2, said.decode()
    assert b"went away; start it and its workers again" in said
    assert b"continuing: " in said
    run = lcmap(*COMMAND.split(), 8)
    assert run.exit_code == 0
    assert "continuing: " in run.stderr
    assert taken() == expected


def test_what_a_worker_finds_wrong_with_an_input_ends_the_run(
    folder: Path, lcmap: Lcmap, cluster: SmallCluster
) -> None:
    content = bytearray(Path("image.tif").read_bytes())
    with rasterio.open("image.tif") as dataset:
        start_of_pixels = int(dataset.get_tag_item("BLOCK_OFFSET_0_0", "TIFF", bidx=1))
    Path("image.tif").write_bytes(content[: start_of_pixels + 5000])
    run = lcmap(*COMMAND.split(), 100, "--scheduler", cluster.file)
    assert run.exit_code == 65, run.stderr
    assert "image.tif: " in run.stderr
    assert not Path("map.tif").exists()


@pytest.mark.parametrize(
    ("options", "exit_code", "text"),
    [
        (("--scheduler", "cluster"), 2, "--scheduler cluster: is neither an address nor"),
        (("--scheduler", "missing.json"), 66, "missing.json: no such file; dask scheduler"),
        (("--scheduler", "tcp://127.0.0.1:9"), 2, "--scheduler tcp://127.0.0.1:9: does not answer"),
        (("--scheduler", "broken.json"), 2, "broken.json: does not name a scheduler"),
    ],
)
def test_what_is_no_scheduler_is_refused(
    folder: Path, lcmap: Lcmap, options: tuple[str, ...], exit_code: int, text: str
) -> None:
    Path("broken.json").write_text("{")
    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}):
        run = lcmap(*COMMAND.split(), 100, *options)
    assert run.exit_code == exit_code, run.stderr
    assert run.stderr.startswith(f"lcmap: {text}")
    assert run.stderr.count("\n") == 1


def test_a_pipe_is_refused(folder: Path, lcmap: Lcmap) -> None:
    run = lcmap("predict", "-", "-m", "model.onnx", "-o", "map.tif", "--scheduler", "tcp://a:1")
    assert run.exit_code == 2
    assert "--scheduler: needs inputs in files" in run.stderr


def test_without_dask_distributed_it_says_what_to_install(
    folder: Path, lcmap: Lcmap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    run = lcmap(*COMMAND.split(), 100, "--scheduler", "tcp://127.0.0.1:9")
    assert run.exit_code == 2
    assert "pip install 'lcmap[distributed]'" in run.stderr


def test_workers_make_a_campaign(
    cluster: SmallCluster, lcmap: Lcmap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    prepare, command, outputs, _ = FORMS["campaign"]
    prepare(tmp_path)
    names = tuple(outputs.split(","))
    for prefer in ("order", "confidence"):
        words = [*command.split(), "--prefer", prefer]
        assert lcmap(*words).exit_code == 0
        expected = taken(names)
        run = lcmap(*words, "--scheduler", cluster.file)
        assert run.exit_code == 0, run.stderr
        assert taken(names) == expected


@pytest.fixture
def job(folder: Path) -> Iterator[tuple[Job, Any]]:
    """A job, and its only tile."""
    compute, options = Compute(engine="onnxruntime"), ModelInputOptions()
    metadata = read_model("model.onnx")
    with ExitStack() as stack:
        engine = choose_engine(compute, "float32", "model.onnx")
        network, poolings = load_network("model.onnx", metadata, engine)
        opened = open_rasters(
            stack, [["image.tif"]], metadata.inputs, "model.onnx", options, poolings, silent
        )
        computation = Computation(
            "model.onnx", metadata, network, "float32", engine, opened, options
        )
        (tile,) = computation.predictor(["winner"]).tiles(200, 210, 1000)
        groups = [BandGroup("codes", 1, "uint8")]
        yield Job.of(computation, [["image.tif"]], compute, groups), tile


def computed(cluster: SmallCluster, job: Job, tile: Any) -> Any:
    from distributed import Client

    with Client(scheduler_file=str(cluster.file), set_as_default=False) as client:
        (result,) = client.submit(compute_tiles, PackedJob.of(job), [tile]).result().tiles
        return result


def test_a_worker_that_differs_is_named(
    cluster: SmallCluster, job: tuple[Job, Any], folder: Path
) -> None:
    asked, tile = job
    facts = {"lcmap": "0.0.1", "calibrated": "otherwise", "engine": "onnxruntime 1"}
    other = replace(asked, facts=asked.facts | facts)
    with pytest.raises(UnavailableError, match=r"worker tcp://\S+: .*engine, calibrated differ"):
        computed(cluster, other, tile)
    missing = replace(asked, inputs=((str(folder / "not-there.tif"),),))
    with pytest.raises(InputMissingError, match=r"not-there\.tif on worker tcp://"):
        computed(cluster, missing, tile)
    result = computed(cluster, asked, tile)
    assert result.arrays["codes"].shape == (1, 200, 210)
    assert result.mapped == 200 * 210


def test_a_job_is_of_paths_and_values(job: tuple[Job, Any], folder: Path) -> None:
    asked, _ = job
    assert asked.inputs == ((str(folder / "image.tif"),),)
    assert asked.model == str(folder / "model.onnx")
    packed = pickle.dumps(PackedJob.of(asked))
    assert len(packed) < 3000
    again = pickle.loads(PackedJob.of(asked).job)
    np.testing.assert_array_equal(again.quantiles[0], asked.quantiles[0])
    assert replace(again, quantiles=()) == replace(asked, quantiles=())
