from __future__ import annotations

from pathlib import Path

import pytest

from lcmap.errors import InputMissingError, NomenclatureError, UsageError
from lcmap.nomenclature import builtin_names, load_nomenclature

ACRONYMS_OF_TABLE_1 = "Buf Wat Cro Pat MR Air Par Cem Con Dec OF Hed Hea Pop Orc Vin Res Ind"


def test_the_built_in_nomenclatures_are_all_there() -> None:
    sizes = {name: len(load_nomenclature(name)) for name in builtin_names()}
    assert sizes == {
        "flair19": 19,
        "flair7": 7,
        "oso-reclass": 17,
        "oso17": 17,
        "oso23": 23,
        "topo18": 18,
        "topo6": 6,
    }


@pytest.mark.parametrize("name", builtin_names())
def test_built_in_colours_are_distinct_and_the_name_is_the_file_name(name: str) -> None:
    nomenclature = load_nomenclature(name)
    assert nomenclature.name == name
    assert len({item.color for item in nomenclature.classes}) == len(nomenclature)


def test_the_papers_classes_keep_its_order_and_acronyms() -> None:
    shorts = [item.short for item in load_nomenclature("topo18").classes]
    assert shorts == ACRONYMS_OF_TABLE_1.split()
    assert load_nomenclature("topo18").codes == tuple(range(1, 19))
    assert [item.short for item in load_nomenclature("topo6").classes] == [
        *("Buf", "Wat", "Cro", "Roa", "Veg", "Bui")
    ]


def test_the_two_osos_differ_in_what_a_code_means() -> None:
    old, new = load_nomenclature("oso17"), load_nomenclature("oso23")
    assert (old[11].name, new[11].name) == ("Cultures d'été", "Riz")
    assert (old[12].name, new[12].name) == ("Cultures d'hiver", "Tubercules et racines")
    assert new[1].color == "#ff00ff"
    assert new[23].color == "#0000ff"
    assert old.no_label == new.no_label == (255,)


def test_a_file_of_the_users_own_works_as_a_name_does(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(
        'name = "own"\ntitle = "Mine"\n[[classes]]\n'
        'code = 3\nname = "Étang"\nshort = "Eta"\ncolor = "#0000FF"\n',
        encoding="utf-8",
    )
    own = load_nomenclature(path)
    assert (own.name, own.title, own.codes) == ("own", "Mine", (3,))
    assert own[3].color == "#0000ff"


def test_an_unknown_name_lists_the_built_in_ones() -> None:
    with pytest.raises(UsageError, match=r"topo7: no built-in .* topo18, topo6") as c:
        load_nomenclature("topo7")
    assert c.value.exit_code == 2


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputMissingError, match=r"none\.toml: no such file") as caught:
        load_nomenclature(tmp_path / "none.toml")
    assert caught.value.exit_code == 66


def test_malformed_toml_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text('name = "own"\nclasses = [ {code = } ]\n')
    with pytest.raises(NomenclatureError, match=r"bad\.toml: is not valid TOML: .*line 2"):
        load_nomenclature(path)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(NomenclatureError, match="not UTF-8"):
        load_nomenclature(path)
