from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_labels import WriteLabels

from lcmap.accuracy.inputs import (
    ScoreInput,
    check_class_names,
    chosen_codes,
    default_names,
    in_common_nomenclature,
)
from lcmap.accuracy.label_raster import LabelFile, open_labels
from lcmap.accuracy.options import ClassOptions
from lcmap.errors import NomenclatureMismatchError, UsageError
from lcmap.nomenclature import Nomenclature, load_nomenclature

TOPO6, TOPO18 = load_nomenclature("topo6"), load_nomenclature("topo18")


def source(carries: Nomenclature | None = None) -> ScoreInput:
    return ScoreInput("a", (LabelFile("a.tif"),), carries.class_table() if carries else None)


def common(
    maps: list[ScoreInput],
    reference: ScoreInput,
    classes: ClassOptions | None = None,
    otherwise: Nomenclature | None = None,
) -> tuple[str, list[str | None], str | None]:
    """Return the names of the target and of the crosswalks that maps and reference got."""
    found = in_common_nomenclature(maps, reference, classes or ClassOptions(), otherwise)
    of_reference = found.reference.crosswalk
    return (
        found.target.name,
        [item.crosswalk.name if item.crosswalk else None for item in found.maps],
        of_reference.name if of_reference else None,
    )


def test_the_nomenclature_is_the_one_named_or_what_the_files_say() -> None:
    assert common([source()], source(), ClassOptions("flair7")) == ("flair7", [None], None)
    assert common([source(TOPO18)], source(TOPO6))[0] == "topo6"
    assert common([source(TOPO18)], source())[0] == "topo18"
    assert common([source()], source(), otherwise=TOPO6)[0] == "topo6"
    assert common([source(TOPO18)], source(), otherwise=TOPO6)[0] == "topo18"


def test_without_a_word_on_the_classes_there_is_no_guess() -> None:
    with pytest.raises(UsageError, match=r"`nomenclature`: neither .* say which classes"):
        common([source()], source())


def test_crosswalks_lead_to_one_nomenclature() -> None:
    assert common(
        [source()],
        source(),
        ClassOptions(crosswalks=("oso23:flair7",), reference_crosswalk="flair19:flair7"),
    ) == ("flair7", ["oso23:flair7"], "flair19:flair7")
    for classes in (
        ClassOptions(crosswalks=("oso23:flair7",), reference_crosswalk="topo18:topo6"),
        ClassOptions(crosswalks=("oso23:flair7", "topo18:topo6")),
        ClassOptions("topo6", crosswalks=("oso23:flair7",)),
    ):
        with pytest.raises(UsageError, match="`crosswalks`: leads to"):
            common([source(), source()], source(), classes)


def test_one_crosswalk_serves_all_maps_but_those_in_the_target_already() -> None:
    """The paper's table 3: a 6-class map beside an 18-class map brought to 6 classes."""
    found = common(
        [source(TOPO6), source(TOPO18), source()],
        source(),
        ClassOptions(crosswalks=("topo18:topo6",)),
    )
    assert found == ("topo6", [None, "topo18:topo6", "topo18:topo6"], None)


def test_a_crosswalk_for_each_map_in_order() -> None:
    found = common(
        [source(), source()], source(), ClassOptions(crosswalks=("none", "topo18:topo6"))
    )
    assert found == ("topo6", [None, "topo18:topo6"], None)
    with pytest.raises(UsageError, match="2 crosswalks for 3 maps"):
        common([source()] * 3, source(), ClassOptions(crosswalks=("none", "topo18:topo6")))


def test_a_file_that_says_other_classes_is_refused(write_labels: WriteLabels) -> None:
    path = write_labels("map.tif", np.ones((1, 1), np.uint8), classes=TOPO6)
    with open_labels(path) as raster:
        check_class_names(raster, source(), TOPO6)
        with pytest.raises(NomenclatureMismatchError, match=r"map\.tif: .* topo6, not flair7"):
            check_class_names(raster, source(), load_nomenclature("flair7"))


def test_chosen_classes_are_codes_ranges_names_or_acronyms() -> None:
    assert chosen_codes((), TOPO6) is None
    assert chosen_codes(("2,5-9", "Roads", " wat"), TOPO6) == (2, 4, 5, 6)
    assert chosen_codes(("6", "1"), TOPO6) == (1, 6), "in the nomenclature's order"
    assert chosen_codes(("5-" + "9" * 5000,), TOPO6) == (5, 6)
    for wrong in ("7", "8-12", "Snow"):
        with pytest.raises(UsageError, match=f"{wrong}: is not a class of topo6; .* 6 Bui"):
            chosen_codes((wrong,), TOPO6)


def test_default_names_tell_maps_apart() -> None:
    maps = ["a/map.tif", Path("b/map.tif"), "-", "folder/", "out/s2_*.tif", "map.jp2"]
    assert default_names(maps) == ["map", "map #2", "stdin", "folder", "s2_*", "map #3"]
