"""File formats, read as data: nothing in a file is run."""
