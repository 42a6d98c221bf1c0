"""Pure steps: state and batch in, state and numbers out; compiled, no I/O."""
