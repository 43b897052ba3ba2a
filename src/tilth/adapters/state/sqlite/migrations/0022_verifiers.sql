-- safe: before
-- What a token can be checked with by SCRAM-SHA-256, as PostgreSQL keeps it: the Postgres door never sees the token itself.
-- Tokens of before have none, and are refused there with the reason.

CREATE TABLE token_verifiers (
    token    INTEGER PRIMARY KEY REFERENCES tokens (id),
    verifier TEXT NOT NULL                 -- SCRAM-SHA-256$iterations:salt$stored:server
) STRICT;
