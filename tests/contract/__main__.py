"""`python -m tests.contract [FOLDER]`: the AsyncAPI document before the official parser."""

import sys
from pathlib import Path

from tests.contract.official_parser import check_contract

sys.stdout.write(check_contract(Path(*sys.argv[1:] or [".venv/neighbours/contract"]), print) + "\n")
