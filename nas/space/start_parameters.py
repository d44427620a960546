"""Collection of a start genome's values as parameters of a search space, with one line for each fault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nas.space.conditional_domains import ConditionalDomains
from nas.space.gene_definitions import Scalar
from nas.space.gene_domains import describe_value


class ParameterCollector:
    """Parameters and faults of one start genome.

    A context is the sequence of choices made before a gene is drawn, as in `ConditionalDomains.domain`. A choice that
    the start genome leaves open gives several contexts. A value is accepted if it is in the domain of each of them, and
    is set for each, since parameter names differ by choice.
    """

    def __init__(self) -> None:
        self.parameters: dict[str, Scalar] = {}
        self.faults: list[str] = []

    def table(self, value: Any, where: str) -> Mapping[str, Any]:
        """Return a value that must be a table; empty with a fault."""
        if isinstance(value, Mapping):
            return value
        self.faults.append(f"{where}: must be a table, not {value!r}")
        return {}

    def values(self, value: Any, where: str) -> Sequence[Any] | None:
        """Return a value that must be a list; None with a fault."""
        if isinstance(value, (list, tuple)):
            return value
        self.faults.append(f"{where}: must be a list, not {value!r}")
        return None

    def place(
        self,
        section: ConditionalDomains,
        gene: str,
        value: Any,
        where: str,
        contexts: Sequence[Sequence[str]],
        **naming: str,
    ) -> bool:
        """Set a gene's parameters; return False with a fault.

        Args:
            where: Key of the value, for messages.
            naming: `suffix` of the parameter's name, for a gene with several values; `text` of the value in messages,
                for a count that is not given itself.
        """
        definition = section.genes[gene]
        faults = [] if "text" in naming else definition.faults(value)
        if faults:
            self.faults += [f"{where}: {fault}" for fault in faults]
            return False
        converted = definition.convert(value) if "text" not in naming else value
        domains = dict(section.domain(gene, context) for context in contexts)
        refusing = [name for name, domain in domains.items() if not domain.contains(converted)]
        if refusing:
            text = naming.get("text", describe_value(converted))
            choice = refusing[0].rpartition(".")[0]
            known = domains[refusing[0]].describe() + (f" for {choice}" if choice else "")
            remedy = f"; give {_branch_of(section, domains)} as well" if len(refusing) < len(domains) else ""
            self.faults.append(f"{where}: {text}, but the search space has {known}{remedy}")
            return False
        suffix = naming.get("suffix", "")
        self.parameters |= {name + suffix: converted for name, domain in domains.items() if not domain.is_fixed}
        return True

    def place_all(
        self, section: ConditionalDomains, gene: str, values: Sequence[Any], where: str, families: Sequence[str]
    ) -> None:
        """Set the parameters of a gene with several values, one for each stage or layer."""
        contexts = [(family,) for family in families]
        for index, value in enumerate(values):
            self.place(section, gene, value, f"{where}[{index}]", contexts, suffix=f"_{index + 1}")

    def is_active(self, section: ConditionalDomains, gene: str, where: str, families: Sequence[str]) -> bool:
        """Return True if all families have a gene of the architecture; False with a fault."""
        active_for = section.genes[gene].active_for
        others = [family for family in families if active_for is not None and family not in active_for]
        if not others:
            return True
        remedy = "; give family as well" if len(others) < len(families) else ""
        self.faults.append(f"{where}: {others[0]} has no {where.rpartition('.')[2]}{remedy}")
        return False


def _branch_of(section: ConditionalDomains, names: Mapping[str, Any]) -> str:
    """Name of the branching gene for whose choices a gene has several parameters."""
    choice = next(name.rpartition(".")[0] for name in names if "." in name)
    return next(branch for branch, gene in section.genes.items() if gene.branches and choice in gene.choices)
