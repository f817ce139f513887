"""A study of accuracy: contenders trained on grounds, tested, and set side by side.

    python benchmarks/study.py benchmarks/studies/small.toml --work FOLDER
        [--only 'default/*'] [--jobs 2] [--device cuda] [--list] [--table table.md] [--costs]

What is compared is declared in a TOML file: see docs/benchmarks.md and benchmarks/studies. Data:
the sets beside the project (LCMAP_DATA, else ../shared/data). All contenders are trained by lcmap's
loop on the same tiles; what scores best on the validation tiles is tested. No choice sees the test
ground. A run whose result is in FOLDER is not made again, one that was interrupted goes on, one
that fails stops no other. Several processes may work in one FOLDER.

segmentation_models_pytorch, for the contenders that name it, is no dependency of lcmap. In an
environment of its own:

    python -m venv smp && . smp/bin/activate
    pip install -c constraints.txt -e . segmentation-models-pytorch==0.6.0 timm torchvision==0.28.0

where torchvision has to be the one made for the installed torch (0.28 for 2.13). A torchvision
built for CUDA beside a torch for the CPU works too: what it misses is not used.
"""

from __future__ import annotations

import argparse
import fnmatch
import logging
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import get_args

from trials.costing import contender_costs
from trials.declaration import Run, Study, read_study
from trials.grounds import DATA
from trials.rendering import costs_to_markdown, to_markdown, write_tables
from trials.running import Folder, carry_out
from trials.tables import compare

from lcmap.errors import LcmapError
from lcmap.training.precision import DeviceName


def chosen(study: Study, patterns: list[str]) -> list[Run]:
    """Return the runs whose name, contender/ground/fold/seed, matches one of the patterns."""
    runs = list(study.runs)
    if not patterns:
        return runs
    return [run for run in runs if any(fnmatch.fnmatchcase(run.name, p) for p in patterns)]


def show(runs: list[Run], folder: Folder) -> None:
    """Print how far each run is, and how many are so far."""
    states = {run.name: folder.state(run) for run in runs}
    for name, state in states.items():
        print(f"{state:8} {name}")
    print(", ".join(f"{number} {state}" for state, number in Counter(states.values()).items()))


def in_processes(jobs: int, arguments: list[str]) -> int:
    """Carry out the runs in so many processes, each by itself; return the highest exit code."""
    line = [sys.executable, __file__, *arguments, "--jobs", "1"]
    processes = [subprocess.Popen(line) for _ in range(jobs)]
    try:
        return max(abs(process.wait()) for process in processes)
    except KeyboardInterrupt:
        for process in processes:
            process.wait()  # the terminal has interrupted them too
        raise


def tell() -> None:
    """Let the study and lcmap say on standard error what they do; other libraries say too much."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    for name in ("trials", "lcmap"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.handlers = [handler]


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path, help="a TOML file")
    parser.add_argument("--work", type=Path, required=True, help="where the results are")
    parser.add_argument(
        "--only", action="append", default=[], metavar="PATTERN",
        help="only the runs whose name, contender/ground/fold/seed, matches; * is anything",
    )  # fmt: skip
    parser.add_argument("--jobs", type=int, default=1, help="processes, each one run at a time")
    parser.add_argument(
        "--device", choices=get_args(DeviceName), default="cpu",
        help="what trains; the costs of networks are measured on the processor",
    )  # fmt: skip
    parser.add_argument(
        "--costs", action="store_true",
        help="measure what the networks cost on this processor, in turn; carry out none",
    )  # fmt: skip
    parser.add_argument("--list", action="store_true", help="list the runs; carry out none")
    parser.add_argument(
        "--table", type=Path, metavar="FILE.md",
        help="write what is done so far as Markdown, and as JSON beside it; carry out none",
    )  # fmt: skip
    return parser


def main(words: list[str] | None = None) -> int:
    """Do what the command line says; return the exit code, 1 where a run failed."""
    words = sys.argv[1:] if words is None else words
    arguments = parser().parse_args(words)
    try:
        study = read_study(arguments.study)
        runs, folder = chosen(study, arguments.only), Folder(arguments.work)
        if not runs:
            print("no run matches --only; --list shows their names", file=sys.stderr)
            return 2
        if arguments.costs:
            found = contender_costs(study, folder.grounds, DATA)
            print(costs_to_markdown(found), end="")
            return 0
        if arguments.list:
            show(runs, folder)
            return 0
        if arguments.table:
            comparison = compare(study, runs, folder.results(runs))
            write_tables(comparison, arguments.table)
            print(to_markdown(comparison), end="")
            return 0
        if arguments.jobs > 1:
            return in_processes(arguments.jobs, words)
        failed = carry_out(runs, folder, DATA, arguments.device)
    except LcmapError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    for run in failed:
        print(f"{run.name} failed: see {folder.failure(run)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    tell()
    sys.exit(main())
