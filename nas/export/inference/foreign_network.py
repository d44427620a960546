"""Networks in model files of other programs: ONNX, TorchScript and torch.export's, without metadata of this program.

Array dimensions: N images, K classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nas.errors import ModelFileError
from nas.export.inference.model_file_safety import check_onnx, check_program, check_torchscript

Inputs = NDArray[np.float32]

_ONNX_TYPES: dict[str, type[Any]] = {
    "tensor(float)": np.float32, "tensor(uint8)": np.uint8, "tensor(float16)": np.float16, "tensor(double)": np.float64,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class ForeignNetwork:
    """Network of a model file.

    Attributes:
        run: Maps float32 values in the layout of its input to its outputs [N, K].
        num_params: Number of its parameters; 0 if they cannot be counted.
        takes_bytes: True if its input is of bytes.
    """

    run: Callable[[Inputs], NDArray[Any]]
    num_params: int
    takes_bytes: bool = False


def open_foreign(path: Path, suffix: str, threads: int) -> ForeignNetwork:
    """Open a model file of another program.

    Args:
        suffix: Its format: .onnx, .pt or .pt2.
        threads: Number of threads of ONNX Runtime.

    Raises:
        ModelFileError: The file is damaged, needs code of its own, or has several inputs.
    """
    try:
        match suffix:
            case ".onnx":
                check_onnx(path)
                return _open_onnx(path, threads)
            case ".pt2":
                check_program(path)
                return _open_program(path)
            case _:
                check_torchscript(path)
                return _open_torchscript(path)
    except ModelFileError:
        raise
    except Exception as error:  # Three libraries parse an untrusted file and raise many types of errors.
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise ModelFileError(f"{path}: cannot be opened ({reason})") from error


def _open_onnx(path: Path, threads: int) -> ForeignNetwork:
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type not in _ONNX_TYPES:
        raise ModelFileError(f"{path}: takes {[one.type for one in inputs]}; an image classifier takes one tensor")
    (model_input,) = inputs
    dtype = _ONNX_TYPES[model_input.type]
    fixed = model_input.shape[0] if isinstance(model_input.shape[0], int) else None

    def run(values: Inputs) -> NDArray[Any]:
        cast = values.round().clip(0, 255).astype(dtype) if dtype is np.uint8 else values.astype(dtype)
        return _in_batches(cast, fixed, lambda batch: session.run(None, {model_input.name: batch})[0])

    weights = [tensor for tensor in onnx.load(path).graph.initializer if tensor.data_type != onnx.TensorProto.INT64]
    num_params = sum(int(np.prod(tensor.dims)) for tensor in weights if len(tensor.dims))
    return ForeignNetwork(run, num_params, takes_bytes=dtype is np.uint8)


def _open_torchscript(path: Path) -> ForeignNetwork:
    with warnings.catch_warnings():
        # PyTorch deprecates TorchScript, but many models are stored in it.
        warnings.simplefilter("ignore")
        module = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
    module.eval()
    num_params = sum(parameter.numel() for parameter in module.parameters())
    if not num_params:
        # The parameters of a frozen module are constants of its graph.
        constants = [node.output().toIValue() for node in module.inlined_graph.findAllNodes("prim::Constant")]
        num_params = sum(one.numel() for one in constants if isinstance(one, torch.Tensor) and one.ndim)
    return ForeignNetwork(_torch_runner(module), num_params)


def _open_program(path: Path) -> ForeignNetwork:
    program = torch.export.load(path)
    num_params = sum(parameter.numel() for parameter in program.parameters())
    return ForeignNetwork(_torch_runner(program.module()), num_params)


def _torch_runner(module: Callable[..., Any]) -> Callable[[Inputs], NDArray[Any]]:
    """Return a function that runs a module of PyTorch, image by image if it was traced with one."""

    def run_batch(batch: Inputs) -> NDArray[Any]:
        with torch.inference_mode():
            outputs = module(torch.from_numpy(batch))
        result: NDArray[Any] = outputs.float().numpy()
        return result

    def run(values: Inputs) -> NDArray[Any]:
        try:
            outputs = run_batch(values)
        except (RuntimeError, AssertionError, ValueError):
            return _in_batches(values, 1, run_batch)
        return outputs if len(outputs) == len(values) else _in_batches(values, 1, run_batch)

    return run


def _in_batches(values: NDArray[Any], size: int | None, run: Callable[[NDArray[Any]], NDArray[Any]]) -> NDArray[Any]:
    """Run a network that takes batches of one size; the last one is filled with its last image."""
    if size is None or size == len(values):
        return run(values)
    outputs = []
    for start in range(0, len(values), size):
        batch = values[start : start + size]
        filled = np.concatenate([batch, np.repeat(batch[-1:], size - len(batch), axis=0)])
        outputs.append(run(filled)[: len(batch)])
    return np.concatenate(outputs)
