"""New images through a monitor: maps, a triage, and a gallery to look at."""
