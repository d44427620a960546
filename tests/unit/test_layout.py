"""Limits of the source tree: entries of the package, sizes, and first lines of docstrings."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "nas"
FILES = sorted(PACKAGE.rglob("*.py"))
QUESTION_WORDS = {"what", "who", "whom", "whose", "how", "which", "whether", "where", "when", "why"}
MAX_ENTRIES, MAX_FILE_LINES, MAX_FUNCTION_LINES, MAX_ARGUMENTS = 17, 300, 60, 7
LONG_FUNCTIONS = {
    "confusion_figure": "one Plotly heat map with its texts and axes",
}
MANY_ARGUMENTS = {
    "search": "options of a command", "create": "options of a command", "check": "options of a command",
    "finals": "options of a command", "report": "options of a command", "export": "options of a command",
    "measure": "options of a command",
    "load_spec": "options of the commands",
    "collect_finals": "the runs of a finals study and the settings of their statistics, all by name",
    "compare_networks": "finalist, baseline, settings and the data they are compared on",
    "normalize_backward": "arrays of one compiled pass, which must not be packed",
    "scale_backward": "arrays of one compiled pass, which must not be packed",
    "__init__": "the parameters of a convolution",
    "fit": "network, recipe, data and plan of a training, and its surroundings by name",
    "train_elastic": "those of fit",
    "finish_classifier": "those of fit, and the features",
}  # fmt: skip


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def test_the_package_has_few_entries() -> None:
    entries = [path for path in PACKAGE.iterdir() if path.name not in ("__init__.py", "__pycache__", "py.typed")]
    assert len(entries) <= MAX_ENTRIES


def test_files_and_functions_are_short() -> None:
    long_files = [str(path) for path in FILES if len(path.read_text().splitlines()) > MAX_FILE_LINES]
    assert long_files == []
    long, many = set(), set()
    for path in FILES:
        for function in functions(ast.parse(path.read_text())):
            if (function.end_lineno or 0) - function.lineno + 1 > MAX_FUNCTION_LINES:
                long.add(function.name)
            arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
            if len([one for one in arguments if one.arg not in ("self", "cls", "ctx")]) > MAX_ARGUMENTS:
                many.add(function.name)
    assert long <= LONG_FUNCTIONS.keys()
    assert many <= MANY_ARGUMENTS.keys()


def test_first_lines_of_docstrings_are_no_questions() -> None:
    questions = []
    for path in FILES:
        tree = ast.parse(path.read_text())
        for node in (tree, *(n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef))):
            first = (ast.get_docstring(node) or "").split("\n")[0]
            if first and first.split()[0].strip(",.:").lower() in QUESTION_WORDS:
                questions.append(f"{path.name}: {first}")
    assert questions == []
