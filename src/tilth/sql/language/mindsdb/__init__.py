"""What MindsDB writes and tilth does not: its statements as values of tilth's own, with what differs said beside them.

`forms` tells which statements are of that kind, and is asked before tilth's own grammar; `databases`, `learning`, `models` and
`lists` read them. The prefix `mindsdb.`, which may stand before any name, is `prefix`'s.
"""
