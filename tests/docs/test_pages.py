"""What the pages name exists: options, files, headings; what is generated is up to date."""

from __future__ import annotations

import re
import runpy
import tomllib
from pathlib import Path

import pytest
from documents import GROUP, PAGES, check_call, lcmap_calls, options_of, page_name, prose
from documents import shell_commands as commands_of
from support import PROJECT

from lcmap import defaults
from lcmap.cli import COMMANDS
from lcmap.cli.generated_docs import PARTS, refreshed, refreshed_pages
from lcmap.cli.options import bytes_as_text
from lcmap.graph.halo import Halo, HaloSide
from lcmap.inference.tiling import spans
from lcmap.network import Architecture, receptive_field

LINK = re.compile(r"\]\(([^)\s]*)\)")
CODE = re.compile(r"`([^`\n]+)`")
OPTION = re.compile(r"--[a-z][a-z0-9-]*")
FOLDERS = ("lcmap", "tests", "docs", "examples", "benchmarks", "man", "completions")
MADE_BY_USERS = {"examples/output"}
OF_OTHER_PROGRAMS = {
    "--index-url", "--extra-index-url",
    "--torch-backend", "--max-restarts", "--nproc-per-node", "--signal",
}  # fmt: skip


def default_of(command: str, parameter: str) -> object:
    """Return the default of a command's option."""
    return next(p.default for p in GROUP.commands[command].params if p.name == parameter)


each_page = pytest.mark.parametrize("page", PAGES, ids=page_name)


def test_readme_is_short() -> None:
    assert len((PROJECT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_readme_shows_every_command() -> None:
    calls = [w for text in commands_of(PROJECT / "README.md") for w in lcmap_calls(text)]
    assert {words[1] for words in calls} == set(COMMANDS)
    table = prose(PROJECT / "README.md")
    assert all(f"| `{name}` |" in table for name in COMMANDS)


@each_page
def test_commands_and_their_options_exist(page: Path) -> None:
    for text in commands_of(page):
        for words in lcmap_calls(text):
            check_call(words)
        for script in re.findall(r"python (\S+\.py)", text):
            source = (PROJECT / script).read_text(encoding="utf-8")
            assert all(f'"{option}"' in source for option in OPTION.findall(text)), text


@each_page
def test_options_in_the_text_exist(page: Path) -> None:
    known = OF_OTHER_PROGRAMS.union(*(options_of(name) for name in GROUP.commands))
    named = {option for span in CODE.findall(prose(page)) for option in OPTION.findall(span)}
    assert named <= known


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("docs/models.md", f"`--memory` ({bytes_as_text(defaults.MEMORY)} by default)"),
        ("docs/models.md", f"({default_of('train', 'max_loss')} by default)"),
        ("docs/inputs.md", f"{defaults.GAP} px are left between tiles"),
        ("docs/glossary.md", f"{defaults.INTERVAL_LEVEL:g} % unless `--level` says otherwise"),
        ("docs/benchmarks.md", f"with the default gap of {defaults.GAP} px between splits"),
        ("docs/tutorial.md", f"with a gap of {defaults.GAP} px between splits"),
    ],
)
def test_defaults_in_the_text_are_those_of_the_code(page: str, text: str) -> None:
    assert text in " ".join((PROJECT / page).read_text(encoding="utf-8").split())


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(prose(page)):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        if anchor:
            assert anchor in headings(target), link


def headings(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as a forge makes them."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.M)
    return {re.sub(r"[^\w\s-]", "", title.lower()).replace(" ", "-") for title in titles}


@each_page
def test_paths_in_the_text_exist(page: Path) -> None:
    for span in CODE.findall(prose(page)):
        path = span.split()[-1] if span.startswith("python ") else span
        placeholder = re.search(r"[A-Z*]", path) or path in MADE_BY_USERS
        if re.fullmatch(r"[\w./-]+", path) and path.split("/")[0] in FOLDERS and "/" in path:
            assert placeholder or (PROJECT / path).exists(), span


def test_generated_parts_are_up_to_date() -> None:
    pages = refreshed_pages(PROJECT)
    parts = set(re.findall(r"<!-- generated: (\S+) -->", "".join(pages.values())))
    assert parts == set(PARTS)
    for page, text in pages.items():
        assert page.read_text(encoding="utf-8") == text, f"make docs: {page}"


def test_a_part_that_nothing_generates_is_refused() -> None:
    with pytest.raises(KeyError, match="unheard-of"):
        refreshed("<!-- generated: unheard-of -->\n<!-- end of unheard-of -->\n")


def test_what_is_between_the_comments_is_replaced_and_nothing_else() -> None:
    page = "before\n<!-- generated: rules -->\nold\n<!-- end of rules -->\nafter\n"
    found = refreshed(page)
    assert found == (
        f"before\n<!-- generated: rules -->\n\n{PARTS['rules']()}\n\n<!-- end of rules -->\nafter\n"
    )
    assert refreshed(found) == found


def test_generated_tables_say_what_the_files_do() -> None:
    rows = PARTS["rules"](), PARTS["nomenclatures"](), PARTS["crosswalks"]()
    assert "`largeur_de_chaussee`, else 2.5 m |" in rows[0]
    assert "Ring: ground within 5 m of Buildings becomes Around buildings." in rows[0]
    assert "| 23 | Eau | Wat | `#0000ff` |" in rows[1]
    assert "| 8 Cemeteries | discarded |" in rows[2]


def test_the_figure_is_what_its_script_draws(tmp_path: Path) -> None:
    script = runpy.run_path(str(PROJECT / "docs" / "figures" / "tiling.py"))
    script["draw"](tmp_path / "tiling.svg")
    committed = (PROJECT / "docs" / "figures" / "tiling.svg").read_text(encoding="utf-8")
    drawn = (tmp_path / "tiling.svg").read_text(encoding="utf-8")
    # another matplotlib may draw the same otherwise
    version = re.compile(r"Matplotlib v[\d.]+")
    if version.findall(drawn) == version.findall(committed):
        assert drawn == committed, "make docs"


def test_the_worked_example_of_tiling_is_what_the_code_does() -> None:
    text = (PROJECT / "docs" / "how-tiling-works.md").read_text(encoding="utf-8")
    found = spans(200, 64, 8, Halo(HaloSide(2, 44), HaloSide(6, 44)))
    for kind in ("input", "valid", "output"):
        cells = [f"{getattr(s, f'{kind}_start')} … {getattr(s, f'{kind}_stop')}" for s in found]
        assert f"| {kind} window | {' | '.join(cells)} |" in text
        assert f"{kind} {' '.join(cells)}" in " ".join((spans.__doc__ or "").split())
    assert f"reaches {receptive_field(Architecture(depth=3))} pixels" in text
    assert f"at depth 4 {receptive_field(Architecture(depth=4))} pixels" in " ".join(text.split())


def test_an_installation_for_mapping_has_all_but_what_trains() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    page = (PROJECT / "docs" / "installing.md").read_text(encoding="utf-8")
    named = re.findall(r"^    '([^']+)'", page, re.MULTILINE)
    needed = [
        item for item in project["dependencies"] if not re.match("torch|matplotlib|jinja2", item)
    ]
    assert named == needed
