"""Options of MindsDB's `CREATE MODEL ... USING` as options of tilth's: engines and times by their names here, the rest told and passed over."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from tilth.core.errors import Position, UnsupportedError
from tilth.sql.language.statements import Options, Value

ENGINES = frozenset(
    [
        "lightwood",
        "ludwig",
        "flaml",
        "autokeras",
        "auto_sklearn",
        "autosklearn",
        "pycaret",
        "tpot",
        "h2o",
        "mlforecast",
        "statsforecast",
        "neuralforecast",
        "timegpt",
        "merlion",
        "prophet",
        "lightfm",
        "popularity_recommender",
        "mindsdb",
    ]
)
"""Engines of MindsDB's that learn from tables, and that there is no engine of that name of here."""
TELLERS = frozenset(
    [
        "openai",
        "anthropic",
        "huggingface",
        "huggingface_api",
        "langchain",
        "langchain_embedding",
        "llama_index",
        "ollama",
        "cohere",
        "google_gemini",
        "palm",
        "replicate",
        "bedrock",
        "amazon_bedrock",
        "mistral",
        "groq",
        "litellm",
        "vertex",
        "writer",
        "anyscale_endpoints",
        "minds_endpoint",
        "rag",
        "sentence_transformers",
        "stabilityai",
        "openai_api",
    ]
)
ODD = frozenset({"anomaly_detection", "pyod", "anomaly"})
SECONDS = ("stop_training_in_x_seconds", "time_aim", "problem_definition.time_aim")
LEFT_OUT = ("ignore_features", "ignore_columns", "problem_definition.ignore_features")
KNOWN = frozenset(
    [
        "tag",
        "task",
        "join_learn_process",
        "target",
        "type",
        "model_name",
        "mode",
        "prompt_template",
        "timeseries_settings",
        "encoders",
        "splitter",
        "problem_definition",
        "model",
        "data_handler",
        "statistical_analyzer",
        "analysis_blocks",
        "use_gpu",
        "is_timeseries",
    ]
)
"""First words of options of MindsDB's that nothing here stands for, whichever engine is named."""

STEPS = frozenset({"epochs", "learning_rate", "batch_size", "n_epochs", "dropout"})
"""Of FINETUNE: how MindsDB's networks went on."""


@dataclass(frozen=True, slots=True)
class Meant:
    """The options as tilth has them, columns that are no features, and what is told of what was passed over."""

    using: Options
    left_out: tuple[str, ...] = ()
    told: tuple[str, ...] = ()


def meant(using: Options, own: Collection[str], where: Position | None) -> Meant:
    """What the options say here; those that are called as one of `own` stay. UnsupportedError for an engine that does something else.

    An option that nobody knows stays too, for the rules of CREATE MODEL to refuse; with an engine of MindsDB's it is told.
    """
    engine = str(using.get("engine", "")).lower()
    _able(engine, where)
    foreign = engine in ENGINES
    items: list[tuple[str, Value]] = []
    left_out: list[str] = []
    told: list[str] = []
    for key, value in using.items:
        if key == "engine":
            items.append((key, "auto" if foreign else engine if isinstance(value, str) else value))
        elif key in SECONDS and isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            items.append(("time_limit", f"{max(1, round(value))} s"))
        elif key in LEFT_OUT and (names := _names(value)):
            left_out += names
        elif key.partition(".")[0] in KNOWN or (foreign and key not in own):
            told.append(f"USING {key} has no counterpart here, and was passed over")
        else:
            items.append((key, value))
    if foreign:
        told.insert(
            0,
            f"engine = '{engine}' is MindsDB's: engine = 'auto' learns this model, of several ways the one that is best on rows that it did not see",
        )
    return Meant(_once(items), tuple(left_out), tuple(told))


def passed_over(using: Options) -> tuple[Options, tuple[str, ...]]:
    """The options of a model that is there already, without those that nothing here stands for, and what is told of these."""
    gone = [key for key, _ in using.items if key.partition(".")[0] in KNOWN | STEPS]
    kept = tuple((key, value) for key, value in using.items if key not in gone)
    return Options(kept), tuple(f"USING {key} has no counterpart here, and was passed over" for key in gone)


def _able(engine: str, where: Position | None) -> None:
    if engine in TELLERS:
        raise UnsupportedError(
            f"engine = '{engine}' asks a language model, and models here learn from rows of tables.",
            hint="Leave it out where a column is to be predicted from others: engine = 'auto' learns from text columns too.",
            where=where,
        )
    if engine in ODD:
        raise UnsupportedError(
            f"engine = '{engine}' looks for odd rows without a target, and models here predict a column.",
            hint="Name a column that says which rows were odd: PREDICT outcome. Drift of what a model is asked is watched anyway.",
            where=where,
        )


def _names(value: Value) -> list[str]:
    """Names of columns, in a list or one alone."""
    found = value if isinstance(value, tuple) else (value,)
    return [v for v in found if isinstance(v, str)] if all(isinstance(v, str) for v in found) else []


def _once(items: list[tuple[str, Value]]) -> Options:
    """The options, each once: what MindsDB says by two names is one here, and the first holds."""
    found: Mapping[str, Value] = dict(reversed(items))
    return Options(tuple((key, found[key]) for key in dict.fromkeys(k for k, _ in items)))
