"""Who may import whom: a module imports only from rows above its own, and never a sibling.

And how long files and functions may be.
"""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "mobilenet"

ROWS = {
    "foundation": (
        "__init__ errors files compat settings_text settings_decode settings config_learning "
        "config runlog run_state run_folder signals meter reporting progress"
    ),
    "pixels": "arrays data.transforms distributed.group engine padding",
    "formats": (
        "report.markup data.record data.encoded data.trees data.manifest onnx.graph "
        "onnx.metadata fusion distributed.kvstore distributed.horovod distributed.agreement "
        "distributed.cluster distributed.member distributed.horovodrun"
    ),
    "parts": (
        "model graphs complexity schedule optimizer loss metrics initializer ema "
        "stopping mixing published freezing calibration norm_statistics unfolding ndarray_file "
        "curves run_report statistics imagenet report.style report.thumbnails data.recordio "
        "data.augment data.sample data.order onnx.operators onnx.folding onnx.ends onnx.half "
        "onnx.origin onnx.runtime onnx.int8 data.ilsvrc data.classes data.images data.conversion "
        "data.complaints data.record_folder foreign.stored"
    ),
    "requests": "service",
    "layouts": "data.synset data.layouts data.lists weights foreign.detection",
    "assemblies": (
        "int8 onnx.writer onnx.proof onnx.examples onnx.package onnx.importer expectation "
        "multilabel report.answers report.charts report.document checkpoint training_step views "
        "data.reader data.packing data.sources data.inspection foreign.names foreign.graph "
        "machine"
    ),
    "joints": (
        "onnx.exporter report.page validation_set build evaluation foreign.recognition "
        "data.record_iter"
    ),
    "learning": "learner",
    "parts of a run": "run_parts",
    "course": "trainer",
    "models": "loading foreign.source",
    "other numbers": "quantization",
    "examination": "validation",
    "use cases": (
        "averaging run_comparison prepare verify training comparison audit history export "
        "predict info bench packaging serving importing distributed.launcher"
    ),
    "several use cases": "family quickstart int8_export",
    "pictures": "pictures",
    "arguments": "commands.arguments",
    "commands": (
        "commands.data commands.training commands.validation commands.export "
        "commands.importing commands.distributed commands.machine"
    ),
    "door frame": "cli",
    "door": "__main__",
}
# Foundation modules may build on each other; every other row holds independent siblings.
MXNET_FREE = "foundation"
RANK = {module: rank for rank, row in enumerate(ROWS.values()) for module in row.split()}
MODULES = sorted(
    path.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", ".")
    for path in PACKAGE.rglob("*.py")
    if path.name != "__init__.py"
)


def imported(path: Path) -> set[str]:
    """Every dotted name that the file imports, wherever in the file."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def package_modules(names: set[str]) -> set[str]:
    """The modules of this package among the imported names (both `a` and `a.f` are of `a`)."""
    inside = {name.removeprefix("mobilenet.") for name in names if name.startswith("mobilenet.")}
    return {module for module in MODULES for name in inside if f"{name}.".startswith(f"{module}.")}


@pytest.mark.parametrize("module", MODULES)
def test_imports_only_from_rows_above(module: str) -> None:
    assert module in RANK, f"give mobilenet.{module} its row in {Path(__file__).name}"
    path = PACKAGE / f"{module.replace('.', '/')}.py"
    names = imported(path)
    for other in package_modules(names):
        above = RANK[other] < RANK[module] or RANK[other] == RANK[module] == 0
        assert above, f"{module} imports {other}, which is not in a row above it"
    if RANK[module] == list(ROWS).index(MXNET_FREE):
        assert not any(name.split(".")[0] == "mxnet" for name in names), f"{module} imports mxnet"


@pytest.mark.parametrize("module", ["__init__", *MODULES])
def test_files_and_functions_are_short(module: str) -> None:
    text = (PACKAGE / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < 40, f"{node.name} is longer than 40 lines"
