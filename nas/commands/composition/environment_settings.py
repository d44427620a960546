"""Environment settings, read once by the command line and passed down."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from nas.errors import SettingsError


class Settings(BaseSettings):
    """Environment settings; the variable of each is its name in capitals, prefixed `NAS_`.

    Attributes:
        home: Embedded database, artifacts and data cache.
        storage: A PostgreSQL URL; without it the embedded server is used.
        storage_file: A file that contains that URL, for secrets mounted by an orchestrator.
        artifacts: Folder of weights; default: a folder in `home`.
        data: Folder of torchvision's downloads and decoded image folders; default: a folder in `home`.
        weights: ImageNet weights for pretrained networks, in place of torchvision's download.
        device: `cpu`, `cuda`, `cuda:1` …; default: a GPU if there is one.
        slots: Number of concurrent trials; default: by the free memory of the GPUs, or one per core.
        cuda_graphs: Capture training steps on a GPU; can be turned off to isolate a fault.
        threads: CPU threads of one trial; default: this machine's cores, divided among the concurrent trials.
        lease_seconds: Lease duration; without a renewal for so long, any worker may claim the trial.
        checkpoint_seconds: Seconds between two checkpoints of a training.
    """

    model_config = SettingsConfigDict(env_prefix="NAS_", frozen=True, extra="ignore", env_ignore_empty=True)

    home: Path = Path(".nas")
    storage: str | None = None
    storage_file: Path | None = None
    artifacts: Path | None = None
    data: Path | None = None
    weights: Path | None = None
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto"
    slots: Annotated[int, Field(ge=1)] | None = None
    cuda_graphs: bool = True
    threads: Annotated[int, Field(ge=1)] | None = None
    lease_seconds: Annotated[float, Field(ge=1, le=3600)] = 60.0
    checkpoint_seconds: Annotated[float, Field(ge=0, le=3600)] = 60.0

    @property
    def artifacts_folder(self) -> Path:
        return self.artifacts or self.home / "artifacts"

    @property
    def data_folder(self) -> Path:
        return self.data or self.home / "data"

    @property
    def storage_url(self) -> str | None:
        """Configured database URL, or None for the embedded server.

        Raises:
            SettingsError: The storage file cannot be read, or both settings are given.
        """
        if self.storage_file is None:
            return self.storage
        if self.storage is not None:
            raise SettingsError("NAS_STORAGE and NAS_STORAGE_FILE are both set; keep one of them")
        try:
            return self.storage_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingsError(f"NAS_STORAGE_FILE: cannot read {self.storage_file}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise SettingsError(f"NAS_STORAGE_FILE: {self.storage_file} is not UTF-8 text") from error


def read_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        SettingsError: A variable has a value that cannot be used.
    """
    try:
        return Settings()
    except ValidationError as error:
        faults = [f"NAS_{str(fault['loc'][0]).upper()}: {fault['msg']}" for fault in error.errors()]
        raise SettingsError("; ".join(faults)) from error
