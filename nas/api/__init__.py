"""Python interface: searches, studies and networks without the command line."""

from __future__ import annotations

from nas.api.existing_study import open_study
from nas.api.run_search import search
from nas.api.study import Study
from nas.api.trial import Trial

__all__ = ["Study", "Trial", "open_study", "search"]
