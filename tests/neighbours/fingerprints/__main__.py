"""`python -m tests.neighbours.fingerprints`: 0 the table holds; 1 it does not; 3 it does, but a language is missing."""

import sys
from pathlib import Path

from tests.neighbours.fingerprints.check import CHECKS
from tests.neighbours.running_alone import run_alone

sys.exit(run_alone(CHECKS, Path(__file__).parents[3]))
