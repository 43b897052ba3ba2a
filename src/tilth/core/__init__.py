"""Floor 1: values and functions that everything else is said in. Pure: no files, clocks, threads or network."""
