"""The parts of docs/ that are generated: built-in rules, nomenclatures and crosswalks as tables.

A page is written by hand around its generated parts. Each part stands between two comments,
`<!-- generated: NAME -->` and `<!-- end of NAME -->`; `make docs` replaces what is between them.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lcmap.nomenclature import Nomenclature, load_nomenclature
from lcmap.nomenclature import crosswalk as crosswalks
from lcmap.nomenclature import library as nomenclatures
from lcmap.reference import rules_file

FOLDER = "docs"
"""The folder of the pages, in the project."""

_PART = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- end of \2 -->)", re.DOTALL)


def refreshed_pages(project: Path) -> dict[Path, str]:
    """Return the pages that have generated parts, path to text, with those parts as they must be.

    Raises:
        KeyError: a page asks for a part that nothing generates.
    """
    pages = {}
    for path in sorted((project / FOLDER).glob("*.md")):
        text = path.read_text(encoding="utf-8")
        if _PART.search(text):
            pages[path] = refreshed(text)
    return pages


def refreshed(page: str) -> str:
    """Return a page with its generated parts replaced by what they must be.

    Raises:
        KeyError: the page asks for a part that nothing generates.
    """
    return _PART.sub(lambda found: f"{found[1]}\n{PARTS[found[2]]()}\n\n{found[3]}", page)


def nomenclature_tables() -> str:
    """Return the built-in nomenclatures as Markdown: title, source and classes of each."""
    parts = []
    for name in nomenclatures.builtin_names():
        found = load_nomenclature(name)
        path = Path(nomenclatures.__file__).parent / "builtin" / f"{name}.toml"
        rows = [
            (str(item.code), item.name, item.short, f"`{item.color}`") for item in found.classes
        ]
        parts += [
            f"### {name}: {found.title}",
            _header_comment(path),
            _table(("code", "class", "acronym", "colour"), rows),
        ]
        if found.no_label:
            codes = ", ".join(map(str, found.no_label))
            parts.append(f'Read as "no label" besides 0: {codes}.')
    return "\n\n".join(parts)


def crosswalk_tables() -> str:
    """Return the built-in crosswalks as Markdown: source and target class of each."""
    parts = []
    for name in crosswalks.builtin_crosswalks():
        found = crosswalks.load_crosswalk(name)
        file = f"{name.replace(':', '-')}.toml"
        path = Path(crosswalks.__file__).parent / "crosswalks" / file
        rows = []
        for item in found.source.classes:
            code = int(found.table[item.code])
            target = f"{code} {found.target[code].name}" if code else "discarded"
            rows.append((f"{item.code} {item.name}", target))
        parts += [
            f"### {name}",
            _header_comment(path),
            _table((found.source.name, found.target.name), rows),
        ]
        if found.unreached:
            new = ", ".join(found.target[code].name for code in found.unreached)
            parts.append(f"No class of {found.source.name} leads to: {new}.")
    return "\n\n".join(parts)


def rule_tables() -> str:
    """Return the built-in rule sets as Markdown: the rules of each in burning order, and rings."""
    parts = []
    for name in rules_file.builtin_rules():
        path = Path(rules_file.__file__).parent / "rules" / f"{name}.toml"
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        classes = load_nomenclature(values["nomenclature"])
        rows = [
            (
                str(number),
                f"`{rule['layer']}`",
                _class_name(classes, rule["class"]),
                _taken(rule, classes),
                _conditions(rule.get("unless", {})),
                _size(rule),
            )
            for number, rule in enumerate(values["rules"], start=1)
        ]
        parts += [
            f"### {name}: {values['title']}",
            _header_comment(path),
            f"Nomenclature: [{classes.name}](nomenclatures.md).",
            _table(("", "layer", "class", "where", "unless", "width"), rows),
        ]
        for ring in values.get("rings", ()):
            around = " and ".join(_class_name(classes, item) for item in _listed(ring["around"]))
            parts.append(
                f"Ring: ground within {ring['distance']:g} m of {around} becomes "
                f"{_class_name(classes, ring['class'])}."
            )
    return "\n\n".join([*parts, "### Other names of layers and fields", _aliases()])


def _aliases() -> str:
    """Return the aliases that the built-in rules know, as a table."""
    known: dict[str, set[str]] = {}
    for name in rules_file.builtin_rules():
        found = rules_file.load_rules(name)
        for own, others in (*found.layers.items(), *found.fields.items()):
            known.setdefault(own, set()).update(others)
    rows = [
        (f"`{own}`", ", ".join(f"`{other}`" for other in sorted(others)))
        for own, others in sorted(known.items())
    ]
    return _table(("in the rules", "also"), rows)


def _class_name(classes: Nomenclature, given: object) -> str:
    if given == 0:
        return "*no label*"
    found = classes.find(str(given))
    return found.name if found else str(given)


def _taken(rule: Mapping[str, Any], classes: Nomenclature) -> str:
    """Return which features of its layer a rule takes."""
    taken = _conditions(rule.get("where", {}))
    if rule.get("without_attributes"):
        taken += "; or a layer without attributes"
    if near := rule.get("near"):
        around = " and ".join(_class_name(classes, item) for item in _listed(near["around"]))
        taken += f"; within {near['distance']:g} m of {around}"
    return taken


def _conditions(conditions: Mapping[str, Any]) -> str:
    return "; ".join(f"`{field}` {_wanted(value)}" for field, value in conditions.items())


def _wanted(value: object) -> str:
    if isinstance(value, dict):
        bounds = {"min": "≥", "max": "≤"}
        return " and ".join(f"{bounds[key]} {number}" for key, number in value.items())
    return "= " + ", ".join(f"`{_value(item)}`" for item in _listed(value))


def _value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _size(rule: Mapping[str, Any]) -> str:
    """Return how far a rule widens its features, in metres."""
    width = rule.get("width")
    sizes = []
    if isinstance(width, dict):
        sizes.append(f"`{width['field']}`, else {width['default']:g} m")
    elif width is not None:
        sizes.append(f"{width:g} m")
    if rule.get("buffer"):
        sizes.append(f"buffer {rule['buffer']:g} m")
    return "; ".join(sizes)


def _listed(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else [value]


def _header_comment(path: Path) -> str:
    """Return the comment that a TOML file begins with, as a paragraph."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# "))
    return " ".join(lines)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


PARTS: dict[str, Callable[[], str]] = {
    "nomenclatures": nomenclature_tables,
    "crosswalks": crosswalk_tables,
    "rules": rule_tables,
}
"""What is generated, by the name that stands in the comments of a page."""
