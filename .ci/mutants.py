#!/usr/bin/env python3
"""Changes the package in small ways, one at a time, and looks whether a test notices.

`make mutants` starts it, in an environment with Cosmic Ray, which makes the changes, and coverage,
which tells the tests that run through a line; only those are run. `mutants.toml` beside this file
says what is changed and which tests there are. The work is done in clones of the last commit, and
each mutant has a fresh process, for a process with MXNet must not be forked. As there are thousands
of mutants, a random sample of places in the code is taken, and one mutant of each place.

    .ci/mutants.py [--sample 300] [--seed 0] [--jobs 2] [AREA ...]

Prints the changes that no test noticed, and how many there were. `mutants.md` beside this file
answers those that it quotes. Exit code 1 if another one survived.
"""

from __future__ import annotations

import argparse
import ast
import os
import queue
import random
import shlex
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Iterator, NamedTuple
from xml.etree import ElementTree

import toml
from cosmic_ray.commands.init import init
from cosmic_ray.modules import find_modules
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome
from coverage import CoverageData

HERE = Path(__file__).parent
REPOSITORY = HERE.parent
BUILD = REPOSITORY / "build" / "mutants"
MEASURED = BUILD / "measured"
ANSWERS = HERE / "mutants.md"
SETTINGS = toml.load(HERE / "mutants.toml")
MARKERS = "not slow and not gpu and not shared_data"
Span = tuple[tuple[int, int], tuple[int, int]]


class Verdict(NamedTuple):
    """What the tests said of a mutant, and the lines that it removed and added."""

    module: str
    line: int
    outcome: str
    operator: str
    diff: str


def main() -> int:
    """Prints the survivors and the numbers."""
    options = arguments()
    clones: queue.Queue[Path] = queue.Queue()
    for number in range(options.jobs):
        clone = BUILD / f"clone-{number}"
        shutil.rmtree(clone, ignore_errors=True)
        subprocess.run(["git", "clone", "--quiet", str(REPOSITORY), str(clone)], check=True)
        clones.put(clone)
    first = BUILD / "clone-0"
    measure(first, options.jobs)
    tests = Tests(first)
    every = list(places(first, options.areas or SETTINGS["areas"]))
    chosen = random.Random(options.seed)
    sample = chosen.sample(every, min(options.sample, len(every)))
    mutants = [chosen.choice(those) for those in sample]
    tell(f"{len(mutants)} of {len(every)} places, seed {options.seed}")

    def judged(mutant: MutationSpec) -> Verdict:
        clone = clones.get()
        verdict = judge(mutant, clone, tests.of(name(mutant.module_path), mutant.start_pos[0]))
        clones.put(clone)
        diff = f"\n{verdict.diff}\n" if verdict.outcome == "survived" else ""
        tell(f"{verdict.module}:{verdict.line} {verdict.operator}: {verdict.outcome}{diff}")
        return verdict

    with ThreadPoolExecutor(options.jobs) as pool:
        verdicts = list(pool.map(judged, mutants))
    return report(verdicts)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Looks for changes that no test notices.")
    parser.add_argument("--sample", type=int, default=300, help="number of mutants")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--jobs", type=int, default=2, help="mutants at the same time")
    parser.add_argument("areas", nargs="*", metavar="AREA", help="such as mobilenet/data")
    return parser.parse_args()


def tell(line: str) -> None:
    """Prints a line at once: a sample takes hours."""
    print(line, flush=True)


def environment(clone: Path) -> dict[str, str]:
    """In which tests take the package of the clone, on one processor each."""
    return {**os.environ, "PYTHONPATH": str(clone), "OMP_NUM_THREADS": "1"}


def measure(clone: Path, jobs: int) -> None:
    """Runs each file of tests under coverage, unless that has been done already."""
    MEASURED.mkdir(parents=True, exist_ok=True)
    files = [path for pattern in SETTINGS["tests"] for path in sorted(clone.glob(pattern))]

    def run(path: Path) -> None:
        data = MEASURED / "_".join(path.relative_to(clone / "tests").parts)
        if not data.with_suffix(".xml").is_file():
            tell(f"measuring {path.name}")
            coverage = ["-m", "coverage", "run", "--rcfile", HERE / "coverage.ini"]
            pytest = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", MARKERS]
            named = [f"--junitxml={data.with_suffix('.xml')}", path]
            command = [sys.executable, *coverage, "--data-file", data, *pytest, *named]
            said = {"stdout": subprocess.DEVNULL, "env": environment(clone), "cwd": clone}
            subprocess.run(list(map(str, command)), check=False, **said)

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(run, files))


class Tests:
    """The tests that run through each line of a module, the quickest first."""

    def __init__(self, clone: Path) -> None:
        self._of_line: dict[tuple[str, int], set[str]] = defaultdict(set)
        self._files_of: dict[str, set[str]] = defaultdict(set)
        self._seconds: dict[str, float] = defaultdict(float)
        self._failing: set[str] = set()
        for path in sorted(MEASURED.glob("*.py")):
            if not path.with_suffix(".xml").is_file():
                tell(f"{path.name}: its tests did not end under coverage, and are left out")
                continue
            (file,) = (p for p in clone.glob("tests/**/*.py") if is_of(p, path, clone))
            self._read(path, str(file.relative_to(clone)))

    def _read(self, path: Path, file: str) -> None:
        data = CoverageData(str(path))
        data.read()
        for measured in data.measured_files():
            module = measured.rpartition("/mobilenet/")[2].removesuffix(".py")
            for line, contexts in data.contexts_by_lineno(measured).items():
                # In no test: when it is imported, or in a fixture.
                nodes = {"::".join([file, *context.split(".")[1:]]) for context in contexts}
                self._of_line[module, line] |= nodes
                if nodes != {file}:
                    self._files_of[module].add(file)
        for case in ElementTree.parse(path.with_suffix(".xml")).iter("testcase"):
            seconds, function = float(case.get("time", 0)), case.get("name", "").partition("[")[0]
            classes = case.get("classname", "").partition(path.stem.rpartition("test_")[2])[2]
            node = f"{file}{classes.replace('.', '::')}::{function}"
            self._seconds[node] += seconds
            self._seconds[file] += seconds
            if case.find("failure") is not None or case.find("error") is not None:
                tell(f"{node}: fails without a mutant, and is left out")
                self._failing |= {node, file}

    def of(self, module: str, line: int) -> list[str]:
        """Those of the line; of one that runs outside of tests, the files that run the module."""
        nodes = self._of_line[module, line] - self._failing
        nodes = sorted(nodes, key=lambda node: self._seconds[node])
        functions = [node for node in nodes if "::" in node]
        files = [node for node in nodes if node in self._files_of[module]]
        kept, seconds = [], 0.0
        for node in functions or files or nodes:
            seconds += self._seconds[node]
            if not kept or seconds < SETTINGS["most-seconds"]:
                kept.append(node)
        return kept


def is_of(test: Path, measured: Path, clone: Path) -> bool:
    """Whether the file of tests is the one that was measured under this name."""
    return "_".join(test.relative_to(clone / "tests").parts) == measured.name


def places(clone: Path, areas: list[str]) -> Iterator[list[MutationSpec]]:
    """The mutants of each place that may be changed: an operator, a number, a condition."""
    modules = sorted(find_modules([clone / area for area in areas]))
    with use_db(str(BUILD / "every.sqlite"), WorkDB.Mode.create) as database:
        init(modules, database, {})
        mutants = [item.mutations[0] for item in database.work_items]
    unread = {module: list(annotations(module)) for module in modules}
    found: dict[tuple[Path, Span], list[MutationSpec]] = defaultdict(list)
    for mutant in mutants:
        start, end = tuple(mutant.start_pos), tuple(mutant.end_pos)
        is_read = not any(a <= start < b for a, b in unread[mutant.module_path])
        if is_read and not mutant.operator_name.endswith(tuple(SETTINGS["left-out"])):
            found[mutant.module_path, (start, end)].append(mutant)
    for place in sorted(found):
        yield sorted(found[place], key=lambda mutant: (mutant.operator_name, mutant.occurrence))


def annotations(module: Path) -> Iterator[Span]:
    """Where the module has types, which nothing evaluates."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        for field in ("annotation", "returns"):
            part = getattr(node, field, None)
            if isinstance(part, ast.expr):
                yield (part.lineno, part.col_offset), (part.end_lineno, part.end_col_offset)


def name(module: Path) -> str:
    """What the module is called here, such as data/record."""
    return str(module.with_suffix("")).rpartition("/mobilenet/")[2]


def judge(mutant: MutationSpec, clone: Path, tests: list[str]) -> Verdict:
    """Runs the tests in a clone that has the mutant."""
    module, line = name(mutant.module_path), mutant.start_pos[0]
    operator = mutant.operator_name.removeprefix("core/")
    variables = [f"{key}={environment(clone)[key]}" for key in ("PYTHONPATH", "OMP_NUM_THREADS")]
    pytest = ["-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", MARKERS, *tests]
    command = ["env", "-C", str(clone), *variables, sys.executable, *pytest] if tests else ["true"]
    place = (mutant.occurrence, mutant.start_pos, mutant.end_pos)
    moved = MutationSpec(clone / "mobilenet" / f"{module}.py", mutant.operator_name, *place)
    result = mutate_and_test([moved], shlex.join(command), SETTINGS["timeout-seconds"])
    outcome = result.test_outcome or TestOutcome.INCOMPETENT
    said = "timeout" if result.output == "timeout" else outcome.value
    return Verdict(module, line, said, operator, (result.diff or result.output or "").strip())


def report(verdicts: list[Verdict]) -> int:
    """Prints what is not answered, and how many there are of each kind."""
    answers = ANSWERS.read_text(encoding="utf-8") if ANSWERS.is_file() else ""
    survivors = [verdict for verdict in verdicts if verdict.outcome == "survived"]
    unanswered = [verdict for verdict in survivors if quoted(verdict) not in answers]
    for verdict in unanswered:
        tell(f"\n{verdict.module}:{verdict.line} {verdict.operator}\n{quoted(verdict)}")
    areas = Counter((verdict.module.partition("/")[0], verdict.outcome) for verdict in verdicts)
    tell("\n" + "\n".join(f"{area} {outcome}: {n}" for (area, outcome), n in sorted(areas.items())))
    tell(f"{len(verdicts)} mutants, {len(survivors)} survived, {len(unanswered)} without an answer")
    return int(bool(unanswered))


def quoted(verdict: Verdict) -> str:
    """The mutant's line as the page of the answers quotes it."""
    lines = verdict.diff.splitlines()
    added = [line[1:].strip() for line in lines if line.startswith("+") and line[:3] != "+++"]
    return f"`{' '.join(added)}`"


if __name__ == "__main__":
    sys.exit(main())
