"""The bytes of the Postgres door: protocol 3 (PostgreSQL 18, chapter 54). No socket listens yet.

`frames` cuts packets, `asked` reads messages, `said` writes them; `scram` asks who it is, `given` reads parameters, `rows`
writes Arrow batches, by the types of `types`.
"""
