"""A version as a folder that MLflow loads: the sealed bundle as it is, and the files in which MLflow looks for what to do.

MLflow finds `interfaces.mlflow` in its `MLmodel`, which reads the bundle as tilth does; there is no pickle in it, and nothing
in it is run. tilth must be installed where it is loaded: `requirements.txt` says which.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tilth.core.canonical import canonical
from tilth.core.schema import DataType
from tilth.core.time import Instant
from tilth.ml.model.joint import signature_of
from tilth.ml.model.signature import Input, Joint, Signature
from tilth.ports.learning import version_of

BUNDLE = "bundle"
LOADER = "tilth.interfaces.mlflow"
TYPES = {
    DataType.BOOLEAN: "boolean",
    DataType.INTEGER: "long",
    DataType.FLOAT: "double",
    DataType.DECIMAL: "double",
    DataType.DATE: "datetime",
    DataType.TIMESTAMP: "datetime",
}
GAPS = {
    "long": "double",
    "boolean": "double",
}  # a pandas column of these types holds no gap; the loader takes 1, 0 and NaN for truth values


@dataclass(frozen=True, slots=True)
class About:
    """Which version it is, and which packages read it."""

    model: str
    version: int
    digest: str
    made_at: Instant
    packages: Sequence[str] = ("tilth",)


def files(about: About, sealed: Mapping[str, bytes]) -> dict[str, bytes]:
    """All files of the folder by their paths in it; `sealed` are those of the bundle, its envelope too."""
    signature = signature_of(sealed)
    needs = [f"{p}=={version_of(p)}" for p in about.packages]
    python = platform.python_version()
    environment = [f"python: {python}", "dependencies:", "- -r requirements.txt"]
    return {
        "MLmodel": _lines(_mlmodel(about, signature, python)),
        "requirements.txt": _lines(needs),
        "python_env.yaml": _lines(environment),
        **{f"{BUNDLE}/{name}": content for name, content in sealed.items()},
    }


def _lines(rows: Sequence[str]) -> bytes:
    return ("\n".join(rows) + "\n").encode()


def _mlmodel(about: About, signature: Signature | Joint, python: str) -> list[str]:
    usual = [o for part in signature.parts for o in part.outputs if not part.specs[o.name].heavy]
    outputs = [{"name": o.name, "type": TYPES.get(o.type, "string"), "required": True} for o in usual]
    return [
        "flavors:",
        "  python_function:",
        f"    data: {BUNDLE}",
        "    env:",
        "      virtualenv: python_env.yaml",
        f"    loader_module: {LOADER}",
        f"    python_version: {python}",
        "  tilth:",
        f"    data: {BUNDLE}",
        f"    digest: {about.digest}",
        f"    model: {_quoted(about.model)}",
        f"    tilth_version: {version_of('tilth')}",
        f"    version: {about.version}",
        "signature:",
        f"  inputs: {_quoted(_json([_input(i) for i in signature.inputs]))}",
        f"  outputs: {_quoted(_json(outputs))}",
        "  params: null",
        f"utc_time_created: {_quoted(f'{about.made_at:%Y-%m-%d %H:%M:%S.%f}')}",
    ]


def _input(one: Input) -> dict[str, object]:
    kind = TYPES.get(one.type, "string")
    return {
        "name": one.name,
        "type": kind if one.required else GAPS.get(kind, kind),
        "required": one.required,
    }


def _json(value: object) -> str:
    return canonical(value).decode()


def _quoted(text: str) -> str:
    """A single-quoted YAML scalar."""
    return "'" + text.replace("'", "''") + "'"
