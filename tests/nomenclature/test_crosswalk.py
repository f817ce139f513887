from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lcmap.errors import (
    InputMissingError,
    NomenclatureError,
    UnknownLabelError,
    UsageError,
)
from lcmap.nomenclature import builtin_crosswalks, load_crosswalk

OWN = """\
name = "own"
[[classes]]
code = 1
name = "Pond"
short = "Pon"
color = "#0000ff"
[[classes]]
code = 2
name = "Barn"
short = "Bar"
color = "#ff0000"
"""


def crosswalk_file(folder: Path, classes: str, *, head: str = "") -> Path:
    (folder / "own.toml").write_text(OWN)
    path = folder / "own-topo6.toml"
    path.write_text((head or 'source = "own.toml"\ntarget = "topo6"\n') + f"[classes]\n{classes}")
    return path


@pytest.mark.parametrize("name", builtin_crosswalks())
def test_built_in_crosswalks_lead_to_classes_of_their_target(name: str) -> None:
    crosswalk = load_crosswalk(name)
    assert crosswalk.name == name
    assert set(crosswalk.table) <= {0, *crosswalk.target.codes}
    others = np.setdiff1d(np.arange(256), crosswalk.source.codes)
    assert not crosswalk.table[others].any()


def test_topo18_dismisses_cemeteries_and_keeps_the_papers_hierarchy() -> None:
    codes = load_crosswalk("topo18:topo6").apply(np.arange(19, dtype=np.uint8))
    assert codes.tolist() == [0, 1, 2, 3, 4, 4, 4, 4, 0, 5, 5, 5, 5, 5, 5, 5, 5, 6, 6]


def test_flair19_to_flair7_is_the_one_of_the_data() -> None:
    crosswalk = load_crosswalk("flair19:flair7")
    groups = {1: (1, 18), 2: (2, 3, 13), 3: (4,), 4: (5,), 6: (9,), 7: (10, 11, 12), 0: (14, 19)}
    groups[5] = (6, 7, 8, 15, 16, 17)
    assert {code: target for target, codes in groups.items() for code in codes} == {
        code: crosswalk.table[code] for code in crosswalk.source.codes
    }


def test_no_class_of_oso_leads_to_the_new_classes_of_the_reclassification() -> None:
    for name in ("oso23:oso-reclass", "oso17:oso-reclass"):
        assert {15, 16, 17} <= set(load_crosswalk(name).unreached)
    assert load_crosswalk("oso23:oso-reclass").unreached == (15, 16, 17), "table 4 keeps 1 to 14"


def test_osos_255_is_no_label() -> None:
    assert load_crosswalk("oso23:topo6").apply(np.array([255, 23], np.uint8)).tolist() == [0, 2]


def test_unknown_codes_are_named_with_their_file() -> None:
    with pytest.raises(UnknownLabelError, match=r"a\.tif: .* topo18 does not have: 19, 200"):
        load_crosswalk("topo18:topo6").apply(np.array([1, 19, 200], np.uint8), "a.tif")


@pytest.mark.parametrize(
    "classes",
    ["1 = 2\n2 = 6\n", '"Pond" = "Water"\n"Barn" = "Buildings"', "pon = 'wat'\n2 = 'BUI'"],
)
def test_a_file_of_the_users_own_names_classes_by_code_name_or_acronym(
    tmp_path: Path, classes: str
) -> None:
    crosswalk = load_crosswalk(crosswalk_file(tmp_path, classes))
    assert crosswalk.table[[0, 1, 2, 3]].tolist() == [0, 2, 6, 0]


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("1 = 2", 'leaves out classes of own: 2 "Barn"; give each its class, or 0'),
        ("1 = 2\n2 = 0\n3 = 0", '"3" is not a class of own'),
        ('1 = 2\n2 = 0\n"Pond" = 0', 'the class "Pond" is given twice'),
        ("1 = 2\n2 = 7", '"2" leads to 7, which is not a class of topo6'),
        ('1 = 2\n2 = "Barns"', "\"2\" leads to 'Barns', which is not a class of topo6"),
        ("1 = 2\n2 = false", '"2" leads to False'),
        ("1 = 2\n1 = 3", "is not valid TOML"),
    ],
)
def test_a_crosswalk_that_is_not_whole_is_refused(
    tmp_path: Path, classes: str, message: str
) -> None:
    with pytest.raises(NomenclatureError) as caught:
        load_crosswalk(crosswalk_file(tmp_path, classes))
    assert "own-topo6.toml: " in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('target = "topo6"\n[classes]\n1 = 1', 'does not say its "source"'),
        ('source = "topo6"\ntarget = "topo6"\n', "has no table"),
        ('source = "topo6"\ntarget = "topo6"\nclass = 1', 'unknown key "class"'),
    ],
)
def test_a_crosswalk_without_its_parts_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(NomenclatureError, match=message):
        load_crosswalk(path)


def test_an_unknown_crosswalk_lists_the_built_in_ones() -> None:
    with pytest.raises(UsageError, match=r"flair19:flair7, .* topo18:topo6") as c:
        load_crosswalk("topo6:topo18")
    assert c.value.exit_code == 2


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputMissingError, match=r"none\.toml"):
        load_crosswalk(tmp_path / "none.toml")
    path = crosswalk_file(tmp_path, "1 = 1", head='source = "gone.toml"\ntarget = "topo6"\n')
    with pytest.raises(InputMissingError, match=r"gone\.toml"):
        load_crosswalk(path)
