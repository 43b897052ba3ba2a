"""A run of a job or trigger in a process that ends itself, as a kill -9 does, before or after the n-th change of the state or of the source.

python tests/killed.py FOLDER NAME WHEN NUMBER      WHEN: before | after | writing | written | never
"""

import os
import signal
import sys
from contextlib import contextmanager
from typing import Any

from tilth.adapters.sources.sqlite.source import SqliteSource
from tilth.adapters.state.sqlite.state import SqliteState
from tilth.app.project import Project
from tilth.runtime.asking import running


def main(folder: str, name: str, when: str, number: int) -> int:
    """Status 0 when the run came to its end; it prints how many changes there were."""
    count = [0]

    def reached(what: str) -> None:
        if what == when:
            count[0] += 1
            if count[0] == number:
                os.kill(os.getpid(), signal.SIGKILL)

    project = Project(folder)
    graph = project.deployed("prod")
    session = project.session("prod")
    change, write = SqliteState.change, SqliteSource.write

    @contextmanager
    def changed(self: Any, *args: Any, **named: Any) -> Any:
        reached("before")
        with change(self, *args, **named) as open_:
            yield open_
        reached("after")

    def written(self: Any, *args: Any) -> Any:
        reached("writing")
        done = write(self, *args)
        reached("written")
        return done

    SqliteState.change, SqliteSource.write = changed, written  # type: ignore[method-assign, assignment]
    ran = running.run(session, graph.get(name), running.Why("asked for", asked=True))
    print(ran.status, ran.text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
