"""Device and precision of one training."""

from __future__ import annotations

from pathlib import Path

from nas.networks.families.pretrained_resnet import PretrainedNetwork
from nas.networks.network_interface import Network
from nas.training.checkpoints.checkpoint_file import CheckpointError
from nas.training.checkpoints.training_state import TrainingState
from nas.training.execution.device_and_precision import PRECISIONS, ComputeDevice
from nas.training.execution.precision_selection import select_precision
from nas.training.training_inputs import TrainingTask
from nas.worker.trainer_messages import Train


def training_device(
    request: Train,
    network: Network | None,
    task: TrainingTask,
    start: TrainingState | None,
    compute: ComputeDevice,
    folder: Path,
) -> ComputeDevice:
    """Return the device with the precision of a training: measured, or that of its checkpoint.

    Args:
        network: Network to measure with; None for shared weights, which have the device's default.
        compute: Device with its default precision.
        folder: Folder in which measured precisions are kept.

    Raises:
        CheckpointError: The checkpoint is in an unknown precision.
    """
    if start is not None:
        # Checkpoints of version 0.1.0 name no precision; they were made in the device's default.
        precision = start.part("progress").values.get("precision", compute.precision_name)
        if precision not in PRECISIONS:
            raise CheckpointError(f"a checkpoint in an unknown precision, {precision!r:.40}")
        return compute.with_precision(precision)
    if network is None or (isinstance(network, PretrainedNetwork) and network.is_frozen):
        return compute
    batch_size = request.genome.recipe.batch_size
    num_steps = request.epochs * -(-len(task.train) // batch_size)
    return select_precision(network, task, compute, batch_size=batch_size, num_steps=num_steps, folder=folder)
