"""The kinds of resource: one module a kind, and one table of them.

A new kind is a module here with its statement, its grammar, its rules, what it needs, what its recipe holds and what it
asks the planner for, and a row in KINDS; for each action that it brings, `runtime.applying.executor` has a handler. The
floors below know no kind, and everybody above asks the functions here, which are theirs closed over the table.
"""

from __future__ import annotations

from tilth.kinds.channel import CHANNEL
from tilth.kinds.dataset import DATASET
from tilth.kinds.endpoint import ENDPOINT
from tilth.kinds.job import JOB
from tilth.kinds.model import MODEL
from tilth.kinds.source import SOURCE
from tilth.kinds.table import Table
from tilth.kinds.trigger import TRIGGER
from tilth.kinds.view import VIEW

KINDS = Table((SOURCE, DATASET, MODEL, VIEW, ENDPOINT, CHANNEL, JOB, TRIGGER))

parse, parse_one, show, declares = KINDS.parse, KINDS.parse_one, KINDS.show, KINDS.declares
compile, plan, alone = KINDS.compile, KINDS.plan, KINDS.alone  # noqa: A001 - the word of the field
