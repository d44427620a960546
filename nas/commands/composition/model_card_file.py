"""Model card beside an exported file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.commands.composition.finals_plan import find_results, read_results
from nas.errors import ModelFileError
from nas.finals.finals_verdict import finals_verdict
from nas.report.model_card import ModelCard
from nas.search.analysis.front_summary import summarize_front
from nas.search.analysis.grid_results import gather_settings
from nas.search.search_study import SearchStudy
from nas.search.storage.trial_records import TrialRecord

CARD_SUFFIX = ".md"


def write_card(study: SearchStudy, record: TrialRecord, exported: Mapping[str, Any]) -> Path:
    """Write the model card of an exported network beside its first file, and return its path.

    Args:
        exported: The export as `--json` prints it.

    Raises:
        ModelFileError: The card cannot be written.
    """
    card = ModelCard(
        study.spec, study.dataset_summary, record, summarize_front(study), _verdict(study), exported["chosen_because"],
        exported["files"], exported.get("calibration"),
    )  # fmt: skip
    path = Path(exported["files"][0]["file"]).with_suffix(CARD_SUFFIX)
    try:
        path.write_text(card.text, encoding="utf-8")
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be written ({error.strerror or error})") from error
    return path


def _verdict(study: SearchStudy) -> str:
    """Verdict on the test images where there are finals, else on the validation images."""
    if study.spec.finals is not None:
        search = SearchStudy.open(study.storage, study.spec.finals.study)
        return finals_verdict(read_results(search, study))
    results = find_results(study)
    if results is not None:
        return finals_verdict(results)
    settings = gather_settings(study.spec, study.records())
    return summarize_front(study).verdict if settings is None else settings.verdict
