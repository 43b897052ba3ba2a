"""The function of each place: facts from a read model, and the template that shows them. `PAGES` is compared with `places.PLACES` by a test."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tilth.interfaces.console import datasets, endpoints, environments, models, query, records
from tilth.interfaces.console.acting import act
from tilth.interfaces.console.looking import Looking, Page
from tilth.interfaces.console.overview import overview
from tilth.interfaces.console.predicting import predict

PAGES: Mapping[str, Callable[[Looking], Page]] = {
    "/": overview,
    "/datasets": datasets.listed,
    "/datasets/<name>": datasets.one,
    "/models": models.listed,
    "/models/<name>": models.one,
    "/models/<name>/versions/<version>": models.version,
    "/models/<name>/compare": models.compared,
    "/models/<name>/predict": predict,
    "/endpoints": endpoints.listed,
    "/endpoints/<name>": endpoints.shown,
    "/environments": environments.listed,
    "/generations/<number>": environments.generation,
    "/query": query.editor,
    "/runs": records.runs,
    "/runs/<run>": records.run,
    "/jobs": records.jobs,
    "/notices": records.told,
    "/audit": records.audited,
    "/acts/<act>": act,
}
