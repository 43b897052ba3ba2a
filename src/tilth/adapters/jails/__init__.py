"""How a process that runs other people's code is started with nothing of ours, and locks itself up."""
