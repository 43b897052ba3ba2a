"""Checks that a dataset could have, found in its rows: `rows` looks, `proposing` proposes and tries on the newest rows, `past` asks the past."""
