"""The names of a training's inputs: the rows and their ids, own estimators, and of a version that is gone on from its files and rows."""

ROWS, IDS, ESTIMATORS = "rows/", "ids/", "estimators/"
START, SEEN, SEEN_IDS = "start/", "seen/", "seen_ids/"
