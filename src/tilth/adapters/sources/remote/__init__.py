"""Files that lie elsewhere: what a place is asked (`place`), their copies here, and the jailed process that reads those."""
