"""One pass over each data set, and the report it ends in."""
