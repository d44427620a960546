from __future__ import annotations

import pytest

from nas.search.trial_shares import is_in_share


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 1.0])
def test_a_share_is_exact_and_spread_evenly(share: float) -> None:
    members = [is_in_share(number, share) for number in range(20)]
    assert sum(members) == round(20 * share)
    assert all(abs(sum(members[:n]) - n * share) < 1 for n in range(20)), "spread evenly"
