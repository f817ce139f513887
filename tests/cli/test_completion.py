"""Completion: scripts in the shells themselves, built-in names, and `lcmap help`."""

from __future__ import annotations

import os
import pty
import select
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from documents import GROUP
from support import PROJECT, write_raster
from typer.testing import CliRunner

from lcmap.cli import app
from lcmap.cli.documentation import completions

CROSSWALKS = ("flair19:flair7", "oso17:oso-reclass", "oso17:topo6", "oso23:flair7",
              "oso23:oso-reclass", "oso23:topo6", "topo18:topo6")  # fmt: skip
NOMENCLATURES = ("flair19", "flair7", "oso-reclass", "oso17", "oso23", "topo18", "topo6")
RULES = ("bdtopo-oso-reclass", "bdtopo-topo18", "bdtopo-topo6")
MEANINGS = tuple(f"oso.tif:{name}" for name in (*NOMENCLATURES, "probabilities", "series"))

IMAGE = PROJECT / "examples" / "data" / "lagoon_rgbn.tif"

# what is typed, and what is offered
OFFERED = [
    ("help tra", ("train",)),
    ("rasterize-ref --rules ", RULES),
    ("prepare --nomenclature ", NOMENCLATURES),
    ("prepare --crosswalk flair19:fl", ("flair19:flair7",)),
    ("prepare --quantiles ", ("image",)),
    ("prepare a.tif --side oso.tif:", MEANINGS),
    ("score --crosswalk oso", tuple(n for n in CROSSWALKS if n.startswith("oso"))),
    ("score --crosswalk no", ("none",)),
    ("score --reference-crosswalk ", CROSSWALKS),
    ("score --nomenclature flair", ("flair19", "flair7")),
    ("reclassify-oso --oso ", ("oso17", "oso23")),
    ("reclassify-oso --crosswalk topo", ("topo18:topo6",)),
    ("update --crosswalk topo", ("topo18:topo6",)),
    ("predict a.tif --quantiles ", ("image", "model")),
    ("fuse a.tif oso.tif:", MEANINGS),
    ("fuse --late ", ("product", "mean")),
    ("train a.geojson --quantiles ", ("image", "training", "model")),
    ("train --recipe ", ("default", "paper")),
]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH on which lcmap is that of this project, by the name that the scripts call."""
    folder = tmp_path_factory.mktemp("bin")
    (folder / "lcmap").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m lcmap "$@"\n')
    (folder / "lcmap").chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    for name, text in completions().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(("line", "names"), OFFERED)
def test_built_in_names_are_offered(line: str, names: tuple[str, ...]) -> None:
    asked = {"_LCMAP_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args",
             "_TYPER_COMPLETE_ARGS": f"lcmap {line}"}  # fmt: skip
    done = CliRunner().invoke(app, env=asked, prog_name="lcmap")
    found = [item.split("\t")[0] for item in done.stdout.splitlines()]
    assert sorted(found) == sorted(names)


BANDS = [
    ("prepare {image} --bands ", ("red", "green", "blue", "nir")),
    ("prepare {image} --bands red,", ("red,green", "red,blue", "red,nir")),
    ("prepare {image} --bands nir,re", ("nir,red",)),
    ("prepare -o s.tif {image} --band-names a --bands bl", ("blue",)),
    ("prepare {image} gone.tif --bands g", ("green",)),
    ("prepare gone.tif --bands ", ()),
    ("prepare --bands ", ()),
    ("prepare {text} --bands ", ()),
]


@pytest.mark.parametrize(("line", "names"), BANDS)
def test_bands_are_offered_of_the_image_on_the_line(
    line: str, names: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("no raster")
    line = line.format(image=IMAGE, text=tmp_path / "notes.txt")
    asked = {"_LCMAP_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args",
             "_TYPER_COMPLETE_ARGS": f"lcmap {line}"}  # fmt: skip
    done = CliRunner().invoke(app, env=asked, prog_name="lcmap")
    assert done.stdout.split() == list(names)
    assert done.stderr == ""


def test_nothing_is_said_of_an_image_that_gdal_has_no_name_for(tmp_path: Path) -> None:
    image = os.fsencode(tmp_path) + b"/\xff.tif"
    shutil.copy(IMAGE, image)
    done = subprocess.run(
        [sys.executable, "-m", "lcmap"], capture_output=True,
        env=os.environb | {b"_LCMAP_COMPLETE": b"complete_fish",
                           b"_TYPER_COMPLETE_FISH_ACTION": b"get-args",
                           b"_TYPER_COMPLETE_ARGS": b"lcmap prepare " + image + b" --bands "},
    )  # fmt: skip
    assert (done.stdout.strip(), done.stderr) == (b"", b"")


def test_names_are_offered_without_loading_what_computes() -> None:
    script = (
        "import sys; from lcmap.cli import builtin_names as names\n"
        "names.crosswalks_or_none(), names.rules(), names.meanings('a:')\n"
        "print([m for m in ('torch', 'onnxruntime', 'rasterio') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def test_every_option_that_takes_a_built_in_name_offers_some() -> None:
    taking = [
        (name, parameter)
        for name, command in GROUP.commands.items()
        for parameter in command.params
        if "NAME|FILE" in str(parameter.metavar) or "FROM:TO" in str(parameter.metavar)
    ]
    assert len(taking) >= 7
    for name, parameter in taking:
        assert parameter._custom_shell_complete is not None, (name, parameter.opts)


BASH_LINES = [
    ("lcmap pre", "lcmap pre 1", {"predict", "prepare"}),
    ("lcmap rasterize-ref --rules=bdtopo-o", "lcmap rasterize-ref --rules = bdtopo-o 4",
     {"bdtopo-oso-reclass"}),
    ("lcmap score --crosswalk oso23:", "lcmap score --crosswalk oso23 : 4",
     {"flair7", "oso-reclass", "topo6"}),
    ("lcmap score --crosswalk oso23:to", "lcmap score --crosswalk oso23 : to 5", {"topo6"}),
]  # fmt: skip


@pytest.mark.parametrize(("line", "words", "expected"), BASH_LINES)
def test_bash_completes_what_it_takes_for_several_words(
    scripts: Path, path: str, line: str, words: str, expected: set[str]
) -> None:
    *parts, index = words.split()
    script = (
        f"source {scripts}/lcmap.bash; COMP_WORDS=({' '.join(parts)}); COMP_CWORD={index}; "
        '_lcmap_completion lcmap; echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, env=os.environ | {"PATH": path}
    )
    assert set(done.stdout.split()) == expected, (line, done.stderr)


BASH_NAMES = [
    # bash replaces what is after the last colon, but in quotes
    (("--side", r"my\ dir/oso.tif", ":", "oso2"), ["oso23"]),
    (("--side", "a", ":", "b.tif", ":", "oso2"), ["oso23"]),
    (("--side", '"my dir/oso.tif:oso2'), ["my dir/oso.tif:oso23"]),
    (("--side", "'my dir/oso.tif:oso2"), ["my dir/oso.tif:oso23"]),
    (("--side", "=", "a.tif", ":", "oso2"), ["oso23"]),
    (("my\\ dir/two.tif", "--bands", ""), [r"band\ 1", r"\*"]),
    (("my\\ dir/two.tif", "--bands", '"'), ["band 1", "*"]),
    (("~/two.tif", "--bands", ""), [r"band\ 1", r"\*"]),
]


@pytest.mark.parametrize(("words", "expected"), BASH_NAMES)
def test_bash_completes_names_with_spaces_and_colons(
    scripts: Path, path: str, words: tuple[str, ...], expected: list[str]
) -> None:
    for folder in (scripts, scripts / "my dir"):
        folder.mkdir(exist_ok=True)
        write_raster(folder / "two.tif", np.zeros((2, 4, 4), np.uint8), names=("band 1", "*"))
    typed = " ".join(shlex.quote(word) for word in ("lcmap", "prepare", *words))
    script = (
        f"source lcmap.bash; COMP_WORDS=({typed}); COMP_CWORD={len(words) + 1}; "
        "_lcmap_completion lcmap; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=scripts, capture_output=True, text=True,
        env=os.environ | {"PATH": path, "HOME": str(scripts)},
    )  # fmt: skip
    assert (done.stdout.splitlines(), done.stderr) == (expected, "")


ZSHRC = r"""
fpath=($ZDOTDIR $fpath)
autoload -Uz compinit; compinit -u -d $ZDOTDIR/dump
bindkey '^I' complete-word
shown() { print -r -- "<$BUFFER>shown"; BUFFER=exit; zle accept-line }
zle -N shown; bindkey '^X' shown
PS1='ready '
"""
ZSH = r"""
zmodload zsh/zpty
zpty z zsh -d -i
zpty -r z text '*ready *'
zpty -w -n z "$1"$'\t\x18'
zpty -r z text '*>shown*'
print -r -- "$text"
"""


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed")
@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("lcmap rast", "<lcmap rasterize-ref >"),
        ("lcmap rasterize-ref --rules bdtopo-o", "--rules bdtopo-oso-reclass >shown"),
        ("lcmap score --crosswalk flair", "<lcmap score --crosswalk flair19:flair7 >"),
        ("lcmap score --crosswalk=flair", "<lcmap score --crosswalk=flair19:flair7 >"),
        ("lcmap predict only-f", "<lcmap predict only-file.tif >"),
        (f"lcmap prepare {IMAGE} --bands nir,re", "--bands nir,red >shown"),
    ],
)  # fmt: skip
def test_zsh_completes_at_the_first_tab(
    scripts: Path, path: str, typed: str, expected: str
) -> None:
    (scripts / "only-file.tif").touch()
    (scripts / ".zshrc").write_text(ZSHRC, encoding="utf-8")
    done = subprocess.run(
        ["zsh", "-f", "-c", ZSH, "zsh", typed],
        capture_output=True, text=True, timeout=60, cwd=scripts,
        env=os.environ | {"PATH": path, "TERM": "dumb", "ZDOTDIR": str(scripts)},
    )  # fmt: skip
    assert expected in done.stdout, done.stdout + done.stderr


BASHRC = r"""
bind 'set enable-bracketed-paste off'
shown() { echo "<$READLINE_LINE>shown"; }
bind -x '"\C-x": shown'
PS1='ready '
"""
TYPED_IN_BASH = [
    ("lcmap rast", "<lcmap rasterize-ref >shown"),
    ("lcmap rasterize-ref --rules=bdtopo-o", "--rules=bdtopo-oso-reclass >shown"),
    ("lcmap score --crosswalk flair", "<lcmap score --crosswalk flair19:flair7 >shown"),
    ("lcmap score --crosswalk oso23:to", "<lcmap score --crosswalk oso23:topo6 >shown"),
    ("lcmap predict only-f", "<lcmap predict only-file.tif >shown"),
    (f"lcmap prepare {IMAGE} --bands nir,re", "--bands nir,red >shown"),
]
BASH_COMPLETION = Path("/usr/share/bash-completion/bash_completion")


def typed_in_bash(rc: Path, typed: str, path: str, data: Path) -> str:
    """Return what an interactive bash shows when this is typed, and TAB."""
    ours, theirs = pty.openpty()
    env = os.environ | {"PATH": path, "TERM": "dumb", "XDG_DATA_DIRS": str(data)}
    env |= {"INPUTRC": os.devnull, "COLUMNS": "500", "PS1": ""}
    shell = subprocess.Popen(
        ["bash", "--rcfile", str(rc), "-i"], stdin=theirs, stdout=theirs, stderr=theirs,
        env=env, cwd=rc.parent, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    shown = ""

    def until(mark: str) -> None:
        nonlocal shown
        end = time.monotonic() + 60
        while mark not in shown and time.monotonic() < end:
            if select.select([ours], [], [], 1)[0]:
                shown += os.read(ours, 65536).decode(errors="replace")

    try:
        until("ready ")
        os.write(ours, f"{typed}\t\x18".encode())
        until(">shown")
    finally:
        shell.kill()
        shell.wait()
        os.close(ours)
    return shown


@pytest.mark.parametrize(("typed", "expected"), TYPED_IN_BASH)
def test_bash_completes_what_is_typed(scripts: Path, path: str, typed: str, expected: str) -> None:
    (scripts / "only-file.tif").touch()
    (scripts / "rc").write_text(f"{BASHRC}\nsource {scripts}/lcmap.bash\n", encoding="utf-8")
    assert expected in typed_in_bash(scripts / "rc", typed, path, scripts)


@pytest.mark.skipif(not BASH_COMPLETION.exists(), reason="bash-completion is not installed")
def test_bash_finds_the_script_where_it_is_installed(scripts: Path, path: str) -> None:
    """In share/bash-completion/completions, by the name of the command."""
    folder = scripts / "bash-completion" / "completions"
    folder.mkdir(parents=True)
    (scripts / "lcmap.bash").rename(folder / "lcmap")
    (scripts / "rc").write_text(f"{BASHRC}\nsource {BASH_COMPLETION}\n", encoding="utf-8")
    typed, expected = TYPED_IN_BASH[2]
    assert expected in typed_in_bash(scripts / "rc", typed, path, scripts)


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("lcmap rast", {"rasterize-ref"}),
        ("lcmap rasterize-ref --rules bdtopo-o", {"bdtopo-oso-reclass"}),
        ("lcmap score --crosswalk oso23:", {"oso23:flair7", "oso23:oso-reclass", "oso23:topo6"}),
        ("lcmap predict only-f", {"only-file.tif"}),
        (f"lcmap prepare {IMAGE} --bands nir,", {"nir,red", "nir,green", "nir,blue"}),
    ],
)  # fmt: skip
def test_fish_offers_what_fits(scripts: Path, path: str, typed: str, expected: set[str]) -> None:
    (scripts / "only-file.tif").touch()
    folder = scripts / "fish" / "vendor_completions.d"
    folder.mkdir(parents=True)
    (scripts / "lcmap.fish").rename(folder / "lcmap.fish")
    done = subprocess.run(
        ["fish", "-c", 'complete -C "$LINE"'], capture_output=True, text=True, timeout=60,
        cwd=scripts, env=os.environ | {"PATH": path, "LINE": typed, "HOME": str(scripts),
                                       "XDG_DATA_DIRS": str(scripts)},
    )  # fmt: skip
    found = {line.split("\t")[0] for line in done.stdout.splitlines()}
    assert found == expected, done.stderr


def test_show_completion_prints_these_scripts() -> None:
    script = "from lcmap.cli import app; from typer import completion as c; " \
        "print(c.get_completion_script(prog_name='lcmap', complete_var='_LCMAP_COMPLETE', " \
        "shell='zsh'))"  # fmt: skip
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == completions()["_lcmap"]


def test_help_of_a_command_by_name(lcmap) -> None:
    assert lcmap("help", "train") == lcmap("train", "--help")
    assert lcmap("help") == lcmap("--help")
    assert lcmap("help", "paint").exit_code == 2
