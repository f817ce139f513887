"""The whole scoring run on small rasters, against scikit-learn on the same pixels."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix
from small_labels import WriteLabels

from lcmap.accuracy import counting
from lcmap.accuracy.measures import OVERALL
from lcmap.accuracy.options import BootstrapOptions, ClassOptions, ReportOptions, SplitOptions
from lcmap.accuracy.score import score
from lcmap.dataset.tile_index import IndexedTile, TileIndex, write_tile_index
from lcmap.errors import (
    InputMissingError,
    NoLabelledPixelError,
    NomenclatureMismatchError,
    NotARasterError,
    OutputExistsError,
    OverlapError,
    UnknownLabelError,
    UsageError,
)
from lcmap.nomenclature import load_crosswalk, load_nomenclature
from lcmap.raster.windows import Window

SHAPE = (90, 70)
IN_TOPO6 = ClassOptions("topo6")


def codes(
    seed: int, low: int = 0, high: int = 6, shape: tuple[int, int] = SHAPE
) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(low, high + 1, shape).astype(np.uint8)


def expected_matrix(
    reference: NDArray[np.uint8], predicted: NDArray[np.uint8], classes: int = 6
) -> list[list[int]]:
    """Count with scikit-learn; the column of 0 comes last."""
    scored = reference > 0
    labels = [*range(1, classes + 1), 0]
    return confusion_matrix(reference[scored], predicted[scored], labels=labels)[:-1].tolist()


def write_index(
    path: Path, image: Path, labels: Path | None, splits: dict[str, list[Window]]
) -> Path:
    tiles = tuple(
        IndexedTile(image, labels, (), window, split, 1.0, {})  # type: ignore[arg-type]
        for split, windows in splits.items()
        for window in windows
    )
    index = TileIndex(path, load_nomenclature("topo6"), (), tiles, 32, "blocks", 0, 0)
    write_tile_index(index, overwrite=False)
    return path


@pytest.mark.parametrize("block", [7, 64, 256, 5000])
def test_the_matrix_is_scikit_learns(
    write_labels: WriteLabels, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(counting, "_READ", 32)
    reference, predicted = codes(0), codes(1)
    report = score(
        [write_labels("map.tif", predicted)],
        [write_labels("ref.tif", reference)],
        classes=IN_TOPO6,
        bootstrap=BootstrapOptions(10, block),
    )
    assert report.maps[0].matrix.tolist() == expected_matrix(reference, predicted)
    assert report.pixels == (reference > 0).sum()
    assert report.bootstrap is not None
    assert report.bootstrap.blocks == -(-SHAPE[0] // block) * -(-SHAPE[1] // block)


def test_only_the_pixels_of_the_split_are_scored(write_labels: WriteLabels, tmp_path: Path) -> None:
    reference, predicted = codes(0), codes(1)
    path = write_labels("ref.tif", reference)
    windows = [Window(0, 0, 32, 32), Window(64, 32, 26, 32)]
    index = write_index(
        tmp_path / "t.geojson", path, path, {"test": windows, "train": [Window(32, 0, 32, 32)]}
    )
    inside = np.zeros(SHAPE, bool)
    for window in windows:
        inside[window.slices] = True
    by_20 = BootstrapOptions(block=20)
    report = score(
        [write_labels("map.tif", predicted)], [path], split=SplitOptions((index,)), bootstrap=by_20
    )
    assert report.maps[0].matrix.tolist() == expected_matrix(reference * inside, predicted)
    assert report.split == "test"
    assert report.nomenclature.name == "topo6", "which the index says"
    everywhere = score(
        [tmp_path / "map.tif"], [path], split=SplitOptions((index,), "all"), bootstrap=by_20
    )
    assert everywhere.pixels > report.pixels


def test_several_images_with_their_indexes_are_pooled(
    write_labels: WriteLabels, tmp_path: Path
) -> None:
    """Zones far apart: folders of maps and references, matched by the ground they cover."""
    indexes, total = [], np.zeros((6, 7), int)
    for zone in range(3):
        reference, predicted = codes(zone), codes(zone + 10)
        west = 700_000.0 + 1000 * zone
        path = write_labels(f"refs/labels_{zone}.tif", reference, west=west)
        write_labels(f"maps/zone{2 - zone}_map.tif", predicted, west=west)
        window = Window(0, 0, 40 + zone, 50)
        indexes.append(write_index(tmp_path / f"{zone}.geojson", path, path, {"test": [window]}))
        total += expected_matrix(reference[window.slices], predicted[window.slices])
    report = score(
        [tmp_path / "maps"],
        [tmp_path / "refs"],
        split=SplitOptions(tuple(indexes)),
        bootstrap=BootstrapOptions(block=10),
    )
    assert report.maps[0].matrix.tolist() == total.tolist()
    assert len(report.references) == len(report.maps[0].files) == 3
    assert report.bootstrap is not None
    assert report.bootstrap.blocks == (4 * 5) + (5 * 5) + (5 * 5)


def test_crosswalks_on_both_sides(write_labels: WriteLabels) -> None:
    reference, predicted = codes(0, high=19), codes(1, high=23)
    report = score(
        [write_labels("oso.tif", predicted)],
        [write_labels("flair.tif", reference)],
        classes=ClassOptions(crosswalks=("oso23:flair7",), reference_crosswalk="flair19:flair7"),
    )
    expected = expected_matrix(
        load_crosswalk("flair19:flair7").apply(reference),
        load_crosswalk("oso23:flair7").apply(predicted),
        classes=7,
    )
    assert report.maps[0].matrix.tolist() == expected
    assert report.maps[0].crosswalk == "oso23:flair7"
    assert report.maps[0].without_source == (1,)
    assert report.reference_crosswalk == "flair19:flair7"


def test_maps_are_measured_on_the_pixels_that_all_cover(write_labels: WriteLabels) -> None:
    reference, one, two = codes(0), codes(1), codes(2)
    report = score(
        [
            write_labels("one.tif", one),
            write_labels("two.tif", two[:, :50], west=700_000.0),
        ],
        [write_labels("ref.tif", reference)],
        classes=IN_TOPO6,
    )
    cut = reference[:, :50]
    assert report.maps[0].matrix.tolist() == expected_matrix(cut, one[:, :50])
    assert report.maps[1].matrix.tolist() == expected_matrix(cut, two[:, :50])
    assert report.not_covered == (reference[:, 50:] > 0).sum()


def test_unclassified_pixels_are_missed_or_left_out_for_all_maps(write_labels: WriteLabels) -> None:
    reference, one, two = codes(0), codes(1), codes(2, low=1)
    files = [write_labels("one.tif", one), write_labels("two.tif", two)]
    path = write_labels("ref.tif", reference)
    missed = score(files, [path], classes=IN_TOPO6)
    assert missed.maps[0].unclassified == ((reference > 0) & (one == 0)).sum() > 0
    left_out = score(files, [path], classes=ClassOptions("topo6", ignore_unclassified=True))
    scored = reference * (one > 0)
    assert left_out.maps[0].matrix.tolist() == expected_matrix(scored, one)
    assert left_out.maps[1].matrix.tolist() == expected_matrix(scored, two)
    assert left_out.left_out_unclassified == missed.maps[0].unclassified


def test_a_map_that_leaves_pixels_out_does_not_look_better(write_labels: WriteLabels) -> None:
    reference = codes(0, low=1)
    honest = np.where(codes(3) < 3, reference, reference % 6 + 1).astype(np.uint8)
    coy = np.where(honest == reference, reference, 0).astype(np.uint8)
    report = score(
        [write_labels("honest.tif", honest), write_labels("coy.tif", coy)],
        [write_labels("ref.tif", reference)],
        classes=IN_TOPO6,
    )
    oa = OVERALL.index("oa")
    assert report.maps[0].scores.overall[oa] == report.maps[1].scores.overall[oa]


def test_chosen_classes_leave_other_pixels_of_the_reference_out(write_labels: WriteLabels) -> None:
    reference, predicted = codes(0), codes(1)
    report = score(
        [write_labels("map.tif", predicted)],
        [write_labels("ref.tif", reference)],
        classes=ClassOptions("topo6", only=("Wat", "4")),
    )
    kept = np.where(np.isin(reference, (2, 4)), reference, 0)
    assert report.maps[0].matrix.tolist() == expected_matrix(kept, predicted)
    assert report.only == (2, 4)


def test_rasters_that_carry_their_classes_need_no_options(write_labels: WriteLabels) -> None:
    topo6, topo18 = load_nomenclature("topo6"), load_nomenclature("topo18")
    path = write_labels("ref.tif", codes(0), classes=topo6)
    six = write_labels("six.tif", codes(1), classes=topo6)
    eighteen = write_labels("eighteen.tif", codes(1, high=18), classes=topo18)
    assert score([six], [path]).nomenclature is topo6
    report = score([six, eighteen], [path], classes=ClassOptions(crosswalks=("topo18:topo6",)))
    assert [item.crosswalk for item in report.maps] == [None, "topo18:topo6"]
    with pytest.raises(NomenclatureMismatchError, match=r"eighteen\.tif: .* topo18, not topo6"):
        score([eighteen], [path])


def test_intervals_are_made_of_the_blocks_of_the_image(write_labels: WriteLabels) -> None:
    """Left half right, right half wrong: OA is 50 %, but of two blocks a draw may hold either."""
    reference = np.ones((10, 20), np.uint8)
    predicted = np.hstack([np.ones((10, 10)), np.full((10, 10), 2)]).astype(np.uint8)
    report = score(
        [write_labels("map.tif", predicted)],
        [write_labels("ref.tif", reference)],
        classes=IN_TOPO6,
        bootstrap=BootstrapOptions(block=10),
    )
    oa = OVERALL.index("oa")
    found = report.maps[0]
    assert found.interval is not None
    ends = [end.overall[oa] for end in found.interval]
    assert (found.scores.overall[oa], *ends) == (0.5, 0.0, 1.0)


def test_few_blocks_are_warned_of(
    write_labels: WriteLabels, caplog: pytest.LogCaptureFixture
) -> None:
    files = [write_labels("map.tif", codes(1))], [write_labels("ref.tif", codes(0))]
    score(*files, classes=IN_TOPO6)
    assert "only 1 blocks of 256 px hold labels" in caplog.text
    caplog.clear()
    report = score(*files, classes=IN_TOPO6, bootstrap=BootstrapOptions(0))
    assert not caplog.text
    assert report.bootstrap is None
    assert report.maps[0].interval is None


def test_another_grid_is_said(write_labels: WriteLabels, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    coarse = write_labels("coarse.tif", codes(1, shape=(9, 7)), gsd=10)
    report = score(
        [coarse],
        [write_labels("ref.tif", codes(0))],
        classes=IN_TOPO6,
        bootstrap=BootstrapOptions(block=10),
    )
    assert "coarse.tif is on another grid" in caplog.text
    blown_up = codes(1, shape=(9, 7)).repeat(10, axis=0).repeat(10, axis=1)
    assert report.maps[0].matrix.tolist() == expected_matrix(codes(0), blown_up)


@pytest.mark.parametrize("damaged", ["map.tif", "ref.tif"])
def test_pixels_that_cannot_be_read_are_blamed_on_their_file(
    write_labels: WriteLabels, damaged: str
) -> None:
    paths = [write_labels(name, codes(0), compress="deflate") for name in ("map.tif", "ref.tif")]
    path = paths[0].parent / damaged
    with rasterio.open(path) as dataset:
        offset = int(dataset.get_tag_item("BLOCK_OFFSET_0_0", "TIFF", bidx=1))
    data = bytearray(path.read_bytes())
    data[offset : offset + 200] = b"\xff" * 200
    path.write_bytes(data)
    with pytest.raises(NotARasterError, match=rf"{damaged}: its pixels cannot be read"):
        score(paths[:1], paths[1:], classes=IN_TOPO6)


@pytest.mark.parametrize("which", ["map.tif", "ref.tif"])
def test_unknown_codes_are_named_with_their_file(write_labels: WriteLabels, which: str) -> None:
    found = {"map.tif": codes(1), "ref.tif": codes(0)}
    found[which][3, 3] = 99
    found["ref.tif"][3, 3] = max(found["ref.tif"][3, 3], 1)
    paths = [write_labels(name, array) for name, array in found.items()]
    with pytest.raises(UnknownLabelError, match=rf"{which}: .* topo6 does not have: 99"):
        score(paths[:1], paths[1:], classes=IN_TOPO6)


def test_no_overlap_is_an_error_and_a_reference_without_map_a_warning(
    write_labels: WriteLabels, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_labels("map.tif", codes(1))
    away = write_labels("away.tif", codes(0), west=900_000.0)
    with pytest.raises(OverlapError, match=r"map\.tif: covers no ground of .*away\.tif"):
        score([path], [away], classes=IN_TOPO6)
    here = write_labels("ref.tif", codes(0))
    other = write_labels("other.tif", codes(1), west=900_000.0)
    with pytest.raises(OverlapError, match=r"other\.tif: covers no ground of .*ref\.tif"):
        score([path, other], [here], classes=IN_TOPO6)
    report = score([path], [away, here], classes=IN_TOPO6)
    assert report.pixels == (codes(0) > 0).sum()
    assert "away.tif is left out: map does not cover it" in caplog.text


def test_nothing_labelled_is_an_error(write_labels: WriteLabels, tmp_path: Path) -> None:
    path = write_labels("map.tif", codes(1))
    empty = write_labels("ref.tif", np.zeros(SHAPE, np.uint8))
    with pytest.raises(NoLabelledPixelError, match=r"ref\.tif: has no labelled pixel to score;"):
        score([path], [empty], classes=IN_TOPO6)
    index = write_index(tmp_path / "t.geojson", path, None, {"train": [Window(0, 0, 9, 9)]})
    with pytest.raises(NoLabelledPixelError, match="no labelled pixel to score in the test split"):
        score([path], [write_labels("full.tif", codes(0))], split=SplitOptions((index,)))


def test_arguments_that_do_not_fit(write_labels: WriteLabels, tmp_path: Path) -> None:
    path, reference = write_labels("map.tif", codes(1)), write_labels("ref.tif", codes(0))
    with pytest.raises(UsageError, match="there is nothing to compare"):
        score([], [reference])
    with pytest.raises(UsageError, match="standard input: can be one input only"):
        score(["-"], ["-"])
    with pytest.raises(UsageError, match="`split`: there is no tile index; name it with `tiles`"):
        score([path], [reference], split=SplitOptions(split="train"))
    with pytest.raises(UsageError, match="2 names for 1 maps"):
        score([path], [reference], outputs=ReportOptions(("a", "b")))
    with pytest.raises(UsageError, match="no form has this ending"):
        score([path], [reference], outputs=ReportOptions(files=(tmp_path / "score.xml",)))


def test_blocks_too_many_to_keep_are_refused(
    write_labels: WriteLabels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "_LARGEST_MARGINS", 1000)
    files = [write_labels("map.tif", codes(1))], [write_labels("ref.tif", codes(0))]
    with pytest.raises(UsageError, match=r"`block`: 1 px makes 6300 blocks, too many"):
        score(*files, classes=IN_TOPO6, bootstrap=BootstrapOptions(block=1))
    assert score(*files, classes=IN_TOPO6, bootstrap=BootstrapOptions(0, block=1)).pixels


def test_outputs_are_checked_before_the_work_and_written_after(
    write_labels: WriteLabels, tmp_path: Path
) -> None:
    path, reference = write_labels("map.tif", codes(1)), write_labels("ref.tif", codes(0))
    output = tmp_path / "score.json"
    report = score([path], [reference], classes=IN_TOPO6, outputs=ReportOptions(files=(output,)))
    assert output.read_text() == report.to_json()
    with pytest.raises(OutputExistsError):
        score(["gone.tif"], ["gone.tif"], outputs=ReportOptions(files=(output,)))
    with pytest.raises(InputMissingError):
        score(["gone.tif"], ["gone.tif"], outputs=ReportOptions((), (output,), overwrite=True))
    assert output.read_text() == report.to_json(), "a failed run leaves it alone"


def test_progress_reaches_its_end(write_labels: WriteLabels) -> None:
    steps: list[tuple[int, int]] = []
    score(
        [write_labels("map.tif", codes(1))],
        [write_labels("a.tif", codes(0)), write_labels("b.tif", codes(2))],
        classes=IN_TOPO6,
        progress=lambda done, total, note="", **_: steps.append((done, total)),
    )
    assert steps == sorted(steps)
    assert steps[-1][0] == steps[-1][1]


@pytest.mark.data
def test_the_oso_like_map_of_real_zones(data_folder: Path) -> None:
    """Each zone alone adds up to all zones pooled."""
    classes = ClassOptions(crosswalks=("oso23:flair7",), reference_crosswalk="flair19:flair7")
    flair = data_folder / "flair"
    maps = [flair / f"zone{zone}_10m_oso_like.tif" for zone in (0, 1, 2, 4, 5)]
    references = [flair / f"zone{zone}_1.6m_labels.tif" for zone in (0, 1, 2, 4, 5)]
    pooled = score(
        [flair / "*_oso_like.tif"],
        references,
        classes=classes,
        bootstrap=BootstrapOptions(block=64),
    )
    alone = [
        score([one], [two], classes=classes, bootstrap=BootstrapOptions(0))
        for one, two in zip(maps, references, strict=True)
    ]
    total = sum((report.maps[0].matrix for report in alone), np.zeros((7, 8), np.int64))
    assert pooled.maps[0].matrix.tolist() == total.tolist()
    oa = pooled.maps[0].scores.overall[OVERALL.index("oa")]
    assert 0.2 < oa < 0.65, "as poor as the data's description says"
    assert replace(pooled, bootstrap=None).pixels == sum(report.pixels for report in alone)
