"""What goes on with a series: each member is a way to answer the next steps from the values before them."""
