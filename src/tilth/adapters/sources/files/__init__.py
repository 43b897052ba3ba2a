"""Files as tables, a module a need; `tilth.adapters.sources.files.source` is the source that is made of them.

`options` holds what a source says about its files, `found` which files are which table. A CSV goes through `head` (what
its first lines say), `spool` (what DuckDB cannot read itself), `kinds` and `dates` (what each cell looks like), `types`
(what the whole column is) and `csv_table`. `json_table` and `parquet_table` stand beside it; `duck` is under all three.
"""
