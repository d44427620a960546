"""Baselines of which only two numbers are known, from elsewhere: recorded without a measurement or a training."""

from __future__ import annotations

from nas.results.network_cost import Cost
from nas.search.search_study import SearchStudy
from nas.search.storage.slot_leases import Lease, Slots
from nas.search.trial_tells import RunningTrial
from nas.space.reference_models import NumberArchitecture


def tell_number(study: SearchStudy, slots: Slots, lease: Lease, trial: RunningTrial) -> bool:
    """Record the trial of a baseline that is a number, and finish its slot; return False for any other trial."""
    number = trial.genome.architecture
    if not isinstance(number, NumberArchitecture):
        return False
    study.record_genome(trial, Cost(number.params, 0))
    study.tell.number(trial, number)
    slots.finish(lease, "completed")
    return True
