"""What a process that is to be jailed is started with: an interpreter, where packages are, and nothing else of ours."""

from __future__ import annotations

import os
import site
import sys

OPTIONS = ("-s", "-P")  # of the interpreter: neither the user's folder nor the working one is looked in


def environment(apart: str | None = None) -> dict[str, str]:
    """The variables of its environment: none of ours but where libraries are. Packages that lie around the folder `apart` are
    not looked for.
    """
    kept = {k: v for k, v in os.environ.items() if k == "LD_LIBRARY_PATH"}
    if packages := package_folders(apart):
        kept["PYTHONPATH"] = os.pathsep.join(packages)
    return kept | {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "HOME": "/nonexistent",
        "PYTHONDONTWRITEBYTECODE": "1",
        "MALLOC_ARENA_MAX": "2",
    }


def package_folders(apart: str | None) -> list[str]:
    """Where this process finds packages beside its installation: what PYTHONPATH names, and the user's own folder.

    A worker looks there too, or a plugin that is found here would be missing there. Never the working folder, nor one
    that `apart` lies in: what is around a project's outputs are its keys.
    """
    named = [] if sys.flags.ignore_environment else os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if site.ENABLE_USER_SITE:
        named.append(site.getusersitepackages())
    real = [os.path.abspath(path) for path in named if path]
    inside = "" if apart is None else os.path.realpath(apart) + os.sep
    return [
        path
        for path in dict.fromkeys(real)
        if os.path.exists(path) and not inside.startswith(os.path.realpath(path).rstrip(os.sep) + os.sep)
    ]
