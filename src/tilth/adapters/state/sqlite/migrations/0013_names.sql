-- safe: before
-- Names that were taken by RENAMED FROM. What is remembered of a resource stays under the first name that it had, its
-- origin: other environments, and generations of before, still call it so.

CREATE TABLE names (
    kind        TEXT NOT NULL,
    name        TEXT NOT NULL,
    origin      TEXT NOT NULL,              -- never itself a name with an origin
    at          TEXT NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX names_origin ON names (kind, origin);

CREATE VIEW called AS                       -- what each environment calls now what is remembered under an origin
SELECT e.name AS environment, p.kind AS kind, p.name AS name, coalesce(n.origin, p.name) AS origin, p.target AS target
FROM environments e                         -- few, and then a pointer by its key
CROSS JOIN pointers p ON p.environment = e.name AND p.generation = e.generation
LEFT JOIN names n ON n.kind = p.kind AND n.name = p.name;

CREATE INDEX pointers_name ON pointers (kind, name);
