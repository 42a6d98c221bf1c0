"""Where the repository is."""

from pathlib import Path

ROOT = Path(__file__).parent.parent
# Programs that tests compile, kept between runs of the suite.
COMPILED = ROOT / '.pytest_cache' / 'compiled'
