"""Checks of model files before they are opened: nothing in them may run code of its own, and nothing may be missing.

A .pt2 file may hold pickles, and expressions and names of functions that PyTorch evaluates when it opens the file; an
ONNX file may name operators of libraries, and files beside it.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nas.errors import ModelFileError

_ONNX_DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft", "ai.onnx.preview.training")
_PROGRAM_TARGETS = re.compile(
    r"torch\.ops\.aten\.(?!from_file|save)\w+(\.\w+)?|torch\.sym_\w+|math\.\w+"
    r"|_operator\.(getitem|add|sub|mul|neg|pow|mod|floordiv|truediv|eq|ne|lt|le|gt|ge|and_|or_|not_)"
)
# Sums, products and the like of sizes, which PyTorch evaluates as Python: without dots, and strings name symbols alone.
_SYMBOL = re.compile(r"Symbol\('[A-Za-z]\w*'")
_SIZE_EXPRESSION = re.compile(r"[A-Za-z0-9_\s+*/(),<>=-]*")
_CALL = re.compile(r"([A-Za-z_]\w*)\s*\(")
_SIZE_FUNCTIONS = frozenset((
    "Symbol", "Integer", "Rational", "Add", "Mul", "Pow", "Max", "Min", "Mod", "PythonMod", "FloorDiv", "CleanDiv",
    "CeilDiv", "ModularIndexing", "Eq", "Ne", "Lt", "Le", "Gt", "Ge", "floor", "ceiling",
))  # fmt: skip
_TENSOR_ENTRIES = ("weight_", "tensor_")


def check_onnx(path: Path) -> None:
    """Refuse an ONNX file with weights in another file, or with operators of a library.

    Raises:
        ModelFileError: The file is one of these, or not an ONNX file.
    """
    import onnx

    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # A parser of untrusted bytes.
        raise ModelFileError(f"{path}: not an ONNX file, or damaged") from error
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise ModelFileError(
                f"{path}: its weights are in another file; save it as one, with onnx.save(onnx.load(FILE), NEW)"
            )
    for node in (*model.graph.node, *(node for function in model.functions for node in function.node)):
        if node.domain not in (*_ONNX_DOMAINS, *(function.domain for function in model.functions)):
            raise ModelFileError(
                f"{path}: needs code of its own, operator {node.domain}.{node.op_type}; export it with ONNX's operators"
            )


def check_program(path: Path) -> None:
    """Refuse a .pt2 file with pickles or functions besides PyTorch's operators.

    Raises:
        ModelFileError: The file is one of these, or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            reasons = list(_program_faults(archive))
    except Exception as error:  # A parser of untrusted bytes.
        raise ModelFileError(f"{path}: not a .pt2 file, or damaged") from error
    if reasons:
        raise ModelFileError(
            f"{path}: needs code of its own, {reasons[0]}; export the network with torch.export of this version"
        )


def check_torchscript(path: Path) -> None:
    """Refuse what is not TorchScript: a pickle of Python objects may run code when it is read.

    Raises:
        ModelFileError: The file holds no TorchScript.
    """
    names: list[str] = []
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    if not any("/code/" in name for name in names):
        raise ModelFileError(
            f"{path}: no TorchScript; a file of torch.save is a pickle, which may run code: save the network with "
            "torch.jit.save, torch.export.save, or as ONNX"
        )


def _program_faults(archive: zipfile.ZipFile) -> Iterator[str]:
    for name in archive.namelist():
        place = name.partition("/")[2]
        if place.startswith(("data/weights/", "data/constants/")):
            yield from _payload_faults(archive, name)
        elif place.startswith("models/"):
            yield from _graph_faults(json.loads(archive.read(name)))
        elif place.startswith("data/sample_inputs/"):
            import torch

            try:
                torch.load(io.BytesIO(archive.read(name)), weights_only=True)
            except Exception:
                # PyTorch would read the entry without restriction then.
                yield f"a pickle ({place})"
        elif not place.startswith(("extra/", ".", "archive_", "byteorder", "version")):
            yield f"an entry of another kind ({place})"


def _payload_faults(archive: zipfile.ZipFile, name: str) -> Iterator[str]:
    """Yield the weights or constants of an entry that are pickles or objects."""
    entry = name.rpartition("/")[2]
    if entry.endswith(".json"):
        for payload in json.loads(archive.read(name))["config"].values():
            if payload.get("use_pickle") or not payload["path_name"].startswith(_TENSOR_ENTRIES):
                yield f"a pickle ({payload['path_name']})"
    elif not entry.startswith(_TENSOR_ENTRIES):
        yield f"a pickle ({entry})"


def _graph_faults(value: Any) -> Iterator[str]:
    """Yield functions and expressions of a graph, as JSON values, that are not PyTorch's operators."""
    if isinstance(value, list):
        for one in value:
            yield from _graph_faults(one)
    if not isinstance(value, dict):
        return
    for key, one in value.items():
        if key == "target" and isinstance(one, str) and "inputs" in value and not _PROGRAM_TARGETS.fullmatch(one):
            yield f"function {one}"
        elif key == "guards_code" and one:
            yield "conditions on its input in Python"
        elif key == "expr_str" and not _is_size(str(one)):
            yield "an expression that is no size"
        else:
            yield from _graph_faults(one)


def _is_size(expression: str) -> bool:
    """Return True for an expression of sizes."""
    plain = _SYMBOL.sub("Symbol(", expression)
    is_plain = "__" not in plain and _SIZE_EXPRESSION.fullmatch(plain) is not None
    return is_plain and _SIZE_FUNCTIONS.issuperset(_CALL.findall(plain))
