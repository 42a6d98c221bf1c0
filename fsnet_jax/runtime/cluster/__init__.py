"""How processes become one run, and what is said where they do not."""
