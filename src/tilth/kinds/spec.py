"""A row of the table of kinds: all that makes a kind of resource, put together from what each floor below asks of it."""

from __future__ import annotations

from dataclasses import dataclass

from tilth.plan.deciding import Deciding
from tilth.resources.making import Making
from tilth.sql.language.parser import Parse
from tilth.sql.language.printer import Show
from tilth.sql.language.statements import Kind


@dataclass(frozen=True, slots=True)
class KindSpec:
    """One kind. `statement` is the class of its CREATE, which `parse` reads and `show` writes."""

    kind: Kind
    statement: type
    parse: Parse
    show: Show
    making: Making
    deciding: Deciding
