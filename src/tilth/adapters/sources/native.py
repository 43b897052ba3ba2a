"""What a native query may be: one statement that reads, and all of it. It is looked at before it is sent.

A session is read-only, and what its role may read is the wall; but a server lets a read-only session run programs (COPY
... TO PROGRAM) or write files (INTO OUTFILE), and some functions read its files, end other sessions or run a text as SQL.
Those are refused by name, wherever they stand. Functions that a database's owner made are the owner's affair: give the source a role that
may not call them.
"""

from __future__ import annotations

import re

from tilth.core.errors import SourceError

READS = ("SELECT", "WITH", "VALUES", "TABLE")
_WRITES = ("INSERT", "UPDATE", "DELETE", "MERGE")
_POSTGRES = re.compile(
    r"""
    (?P<skip>[ \t\n\r\f\v]+ | --[^\n\r]*)
    | (?P<comment>/\*)
    | (?P<text>[eE]'(?:[^'\\]|\\.|'')*' | [bBxXnN]?'(?:[^']|'')*' | (?P<dollar>\$(?:[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_\x80-\U0010ffff]*)?\$).*?(?P=dollar))
    | (?P<coded>[uU]&['"])
    | (?P<name>"(?:[^"]|"")*")
    | (?P<word>[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*)
    | (?P<mark>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_SQLITE = re.compile(
    r"""
    (?P<skip>[ \t\n\r\f]+ | --[^\n]* | /\*.*?(?:\*/|\Z))
    | (?P<text>[xX]?'(?:[^']|'')*')
    | (?P<name>"(?:[^"]|"")*" | `(?:[^`]|``)*` | \[[^\]]*\])
    | (?P<word>[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*)
    | (?P<mark>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_MYSQL = re.compile(
    r"""
    (?P<skip>[ \t\n\r]+ | \#[^\n]* | --(?=[ \t\n\r]|\Z)[^\n]*)
    | (?P<run>/\*M?!)
    | (?P<comment>/\*)
    | (?P<text>[bBxXnN]?'(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.|"")*")
    | (?P<name>`(?:[^`]|``)*`)
    | (?P<word>[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*)
    | (?P<mark>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_LEXERS = {"postgres": _POSTGRES, "sqlite": _SQLITE, "mysql": _MYSQL}
_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"
)  # what MySQL may take for a blank, and so for a comment's begin
_CALLS = re.compile(
    r"""
    pg_read_.* | pg_ls_.* | pg_stat_file | pg_file_.* | pg_current_logfile | lo_.* | loread | lowrite | dblink.* | postgres_fdw_.*
    | pg_terminate_backend | pg_cancel_backend | pg_sleep.* | pg_(?:try_)?advisory_.* | pg_notify | pg_export_snapshot
    | set_config | nextval | setval | pg_reload_conf | pg_rotate_logfile.* | pg_switch_wal | pg_promote | pg_wal_replay_.*
    | pg_logical_.* | pg_replication_.* | pg_create_.* | pg_drop_.* | pg_copy_.* | pg_backup_.* | pg_start_backup | pg_stop_backup
    | pg_log_.* | pg_import_.* | pg_extension_config_dump | pg_stat_reset.* | pg_stat_clear.* | pg_prewarm | pg_logdir_ls
    | (?:query|cursor|table|schema|database)_to_xml.* | ts_stat | ts_rewrite | xpath_table | crosstab.* | connectby
    | pg_hba_file_rules | pg_ident_file_mappings | pg_show_all_file_settings | pg_clear_.* | pg_restore_.* | pg_sync_.* | pg_nextoid
    | pg_get_wal_record.* | pg_get_wal_block.* | pg_get_wal_stats.* | pg_wal_summary_contents | pg_truncate_.* | pg_buffercache_evict.*
    | pg_stat_statements_reset | pg_stop_making_.* | binary_upgrade_.* | heap_force_.* | get_raw_page | autoprewarm_.*
    | load_file | sleep | benchmark | get_lock | release_lock | release_all_locks | (?:master|source)_(?:pos|gtid)_wait
    | wait_for_executed_gtid_set | wait_until_sql_thread_after_gtids | sys_exec | sys_eval | sys_set | lib_mysqludf_.* | lastval
    | brin_.*_range.* | brin_summarize_.* | gin_clean_pending_list | load_extension | readfile | writefile | edit | fts3_tokenizer | eval
    """,
    re.VERBOSE,
)
_FILES = frozenset(
    {"PG_HBA_FILE_RULES", "PG_IDENT_FILE_MAPPINGS", "PG_FILE_SETTINGS"}
)  # views of the server's own files
_HINT = "Write one SELECT, WITH ... SELECT, VALUES or TABLE statement."


def reading(sql: str, dialect: str) -> str:
    """The query without what ends it, when it only reads; SourceError otherwise."""
    if dialect == "mysql" and _HIDDEN.search(sql):
        raise _refused("holds a character that is not seen")
    tokens = _tokens(sql, _LEXERS[dialect])
    while tokens and tokens[-1][1] == ";":
        tokens.pop()
    if not tokens:
        raise _refused("is empty")
    if any(kind == "mark" and text == ";" for kind, text, _ in tokens):
        raise _refused("has more than one statement")
    _check(tokens)
    return sql[: tokens[-1][2]]


def _tokens(sql: str, lexer: re.Pattern[str]) -> list[tuple[str, str, int]]:
    """Kind, text (names bare and in lower case) and end of each."""
    out, at = [], 0
    while at < len(sql):
        found = lexer.match(sql, at)
        assert found is not None
        kind, text, at = found.lastgroup or "mark", found[0], found.end()
        if kind == "dollar":
            kind = "text"
        if kind == "comment":
            at = _after_comment(sql, at, nested=lexer is not _MYSQL)
        elif kind == "run":
            raise _refused("has a comment that the server runs (/*! ... */)")
        elif kind == "coded":
            raise _refused("writes a name or a text by numbers (U&), which is not looked into")
        elif kind == "mark" and text in {"'", '"', "`", "$", "\0"}:
            raise _refused("has a text or a name that never ends")
        elif kind == "name":
            out.append((kind, text[1:-1].lower(), at))
        elif kind != "skip":
            out.append((kind, text if kind == "text" else text.upper(), at))
    return out


def _after_comment(sql: str, at: int, *, nested: bool) -> int:
    """The end of a comment, which may hold comments where they are `nested`."""
    depth = 1
    for found in re.finditer(r"/\*|\*/", sql[at:]):
        depth += (1 if nested else 0) if found[0] == "/*" else -1
        if depth == 0:
            return at + found.end()
    raise _refused("has a comment that never ends")


def _check(tokens: list[tuple[str, str, int]]) -> None:
    words = [text if kind in {"word", "mark"} else "" for kind, text, _ in tokens]
    first = next((w for w in words if w != "("), "")
    if first not in READS:
        raise _refused(f"begins with {first[:40]}" if first.isalpha() else "does not begin with SELECT")
    for i, word in enumerate(words):
        before, after = words[i - 1] if i else "", words[i + 1] if i + 1 < len(words) else ""
        called = after == "(" and tokens[i][0] in {"word", "name"}
        if called and _CALLS.fullmatch(tokens[i][1].lower()):
            raise _refused(f"calls {tokens[i][1].lower()}, which does more than read tables")
        if (word or tokens[i][1].upper()) in _FILES and tokens[i][0] != "text":
            raise _refused(f"reads {tokens[i][1].lower()}, which shows files of the server")
        if word == "INTO":
            raise _refused("writes INTO a table")
        if word in _WRITES and _begins(words, i):
            raise _refused(f"has a {word}")
        if (before == "FOR" and word in {"UPDATE", "SHARE", "NO", "KEY"}) or (before, word) == ("LOCK", "IN"):
            raise _refused("locks rows (FOR ...)")
        if (before, word) in {("NEXT", "VALUE"), ("PROCEDURE", "ANALYSE")} and after in {"FOR", "("}:
            raise _refused("does more than read tables")


def _begins(words: list[str], i: int) -> bool:
    """Whether a statement can begin at this word: after `AS (`, after `MATERIALIZED (`, or after the last `)` of a WITH."""
    before, earlier = words[i - 1] if i else "", words[i - 2] if i > 1 else ""
    return before == ")" or (before == "(" and earlier in {"AS", "MATERIALIZED"})


def _refused(why: str) -> SourceError:
    return SourceError(f"The native query {why}: a source is read-only.", hint=_HINT)
