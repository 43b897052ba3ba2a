"""What is remembered, in typed rows."""
