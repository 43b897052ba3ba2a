"""What a version is: what it was asked for (`spec`), what it takes and gives (`signature`), and how it answers (`predictor`)."""
