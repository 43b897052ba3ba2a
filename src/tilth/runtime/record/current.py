"""What is, for the planner: of everything that is remembered no more than what a plan is made from, as of one moment."""

from __future__ import annotations

from collections.abc import Iterable

from tilth.ml.forecasting.signature import ENGINE, LEARNING
from tilth.plan.policy import MOST_DOUBLINGS
from tilth.plan.snapshot import SERVING, Cost, Current, Pointer, Signals, SnapshotFacts, VersionFacts
from tilth.ports import registry
from tilth.ports.learning import learning_of
from tilth.resources.naming import Histories
from tilth.runtime.record import environments, names
from tilth.runtime.record.rows import Reader, Row, State, instant, real_or_none, text, text_or_none, whole
from tilth.sql.language.statements import Kind

LOOKS = 50  # of a model, the newest
MADE_ALIKE = MOST_DOUBLINGS + 1  # versions of a recipe and status, the newest: more losses change no plan


def current(
    state: State, environment: str, changed_sources: frozenset[str] = frozenset(), serving: str = SERVING
) -> Current:
    """What is, for the planner. `changed_sources` are recipes of datasets whose change tokens differ."""
    with state.reading() as reader:
        number, pointers = environments.checked(reader, environment)
        known = environments.generation(reader, environment, number)
        histories = names.origins(reader)
        versions = tuple(
            map(_version, reader.read("versions_to_plan", environment=environment, most=MADE_ALIKE))
        )
        return Current(
            environment,
            number,
            pointers,
            tuple(_snapshot(r, changed_sources) for r in reader.read("snapshots_to_plan")),
            versions,
            _signals(reader, environment),
            tuple(map(_cost, reader.read("run_costs"))),
            None if known is None else known.created_at,
            serving,
            _learning(pointers, versions, histories),
            histories,
            _leakage(reader, pointers),
        )


def _leakage(reader: Reader, pointers: Iterable[Pointer]) -> tuple[tuple[str, str], ...]:
    """What is known of the datasets that are pointed at, where their rows are not proven to hold nothing that came later."""
    recipes = {p.recipe for p in pointers if p.kind is Kind.DATASET}
    rows = reader.read("leakage_to_plan") if recipes else ()
    return tuple((text(r, "recipe"), _known(r)) for r in rows if text(r, "recipe") in recipes)


def _known(row: Row) -> str:
    verdict, why = text(row, "verdict"), text(row, "why")
    return f"{verdict}: {why}" if why else verdict


def _learning(
    pointers: Iterable[Pointer], versions: Iterable[VersionFacts], histories: Histories
) -> tuple[tuple[str, int], ...]:
    """The number of the way of learning that each engine has now, of those that what is pointed at was made by."""
    used = {(histories.origin(p.kind, p.name), p.target) for p in pointers if p.kind is Kind.MODEL}
    engines = {v.engine for v in versions if (v.model, str(v.version)) in used}
    known = engines & set(registry.names("tilth.learners"))
    found = [(name, learning_of(registry.load("tilth.learners", name))) for name in sorted(known)]
    return tuple(found + [(ENGINE, LEARNING)] * (ENGINE in engines))


def _signals(reader: Reader, environment: str) -> tuple[tuple[str, tuple[Signals, ...]], ...]:
    """The newest looks of each model, oldest first."""
    looks: dict[str, list[Signals]] = {}
    for r in reader.read("looks_to_plan", environment=environment, most=LOOKS):
        look = Signals(
            instant(r, "at"),
            real_or_none(r, "drift"),
            real_or_none(r, "prediction_drift"),
            real_or_none(r, "value"),
            real_or_none(r, "new_rows"),
            text_or_none(r, "metric") or "",
        )
        looks.setdefault(text(r, "model"), []).append(look)
    return tuple((model, tuple(found[-LOOKS:])) for model, found in sorted(looks.items()))


def _snapshot(row: Row, changed: frozenset[str]) -> SnapshotFacts:
    recipe = text(row, "recipe")
    return SnapshotFacts(
        recipe,
        text(row, "snapshot"),
        instant(row, "refreshed_at"),
        instant(row, "attempted_at"),
        whole(row, "rows"),
        recipe in changed,
    )


def _version(row: Row) -> VersionFacts:
    return VersionFacts(
        text(row, "model"),
        whole(row, "version"),
        text(row, "recipe"),
        text(row, "snapshot"),
        text(row, "status"),
        instant(row, "created_at"),
        whole(row, "rows"),
        text(row, "engine"),
        whole(row, "learning") or 1,
        "" if row["rule"] is None else text(row, "rule"),
    )


def _cost(row: Row) -> Cost:
    return Cost(
        text(row, "action"), text(row, "name"), real_or_none(row, "seconds") or 0.0, whole(row, "memory")
    )
