"""How fast explaining is (`__main__`), and whether maps show what counts."""
