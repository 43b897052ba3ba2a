"""The Postgres door: protocol 3 (PostgreSQL 18, chapter 54), for any client of PostgreSQL.

`server` listens, `connection` has the socket and lets in (`letting_in`); `conversation` answers messages without one, `performing` by
a session of tilth. Of the bytes `frames` cuts packets, `asked` reads messages, `said` writes them; `given` reads parameters, `rows`,
`arrays` and `copying` write Arrow batches. `commands` tells a text's statements apart, `settings` are a connection's.
"""
