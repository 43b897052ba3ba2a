"""Learning engines: each fits and says what it is in a class of its own."""
