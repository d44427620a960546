from __future__ import annotations

import pytest

from nas import errors
from nas.errors import NasError, SpecificationError


def test_one_fault_is_one_line() -> None:
    assert str(SpecificationError("a.toml", ["budget: missing"])) == "a.toml: budget: missing"


def test_several_faults_are_counted_and_listed() -> None:
    error = SpecificationError("a.toml", ["x: wrong", "y: missing"])
    assert str(error) == "a.toml: 2 faults\n  x: wrong\n  y: missing"
    assert (error.where, error.faults) == ("a.toml", ("x: wrong", "y: missing"))


@pytest.mark.parametrize("name", [name for name in vars(errors) if name.endswith("Error")])
def test_every_error_is_one_that_the_command_line_explains(name: str) -> None:
    assert issubclass(getattr(errors, name), NasError)
    assert getattr(errors, name).__doc__
