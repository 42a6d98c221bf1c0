"""The pool: who labelled what, and what a cycle trains on."""
