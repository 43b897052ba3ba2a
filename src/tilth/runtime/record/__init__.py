"""What is remembered, in typed rows: the only room that names the state's queries. It decides nothing."""
