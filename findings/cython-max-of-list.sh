#!/usr/bin/env bash
# 2026-12-01. Cython 3.3.1: it refuses `max([0, *numbers])`, in a Python file, as a syntax error.
#
# Expected: a Python file that every Python 3 runs is compiled; Cython says that it compiles nearly all of Python.
# Seen: "starred expression is not allowed here". The same list is taken where it is no argument of max() or min(): the list is
# unpacked into their arguments, as an optimization, before the star is looked at. `max(0, *numbers)` is taken.
# Fails when the file is compiled, or when the same list outside of max() is not.
# Needs python3.11 or newer; no C compiler, for it is refused before.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check cython==3.3.1
cd "$work"
cat > inside.py <<'PY'
def next_number(numbers: list[int]) -> int:
    return max([0, *numbers]) + 1
PY
cat > outside.py <<'PY'
def next_number(numbers: list[int]) -> int:
    known = [0, *numbers]
    return max(known) + 1
PY
"$work/venv/bin/python" -c "import inside, outside; assert inside.next_number([4]) == outside.next_number([4]) == 5"
refused=0
said=$("$work/venv/bin/cython" -3 inside.py 2>&1) || refused=$?
taken=0
"$work/venv/bin/cython" -3 outside.py > outside.log 2>&1 || taken=$?
echo "Cython 3.3.1: max([0, *numbers]): exit code $refused, $(grep -o 'starred expression.*' <<<"$said" | head -1)"
echo "  the same list in a variable first: exit code $taken"
[ "$refused" -ne 0 ]
grep -q 'starred expression is not allowed here' <<<"$said"
[ "$taken" -eq 0 ]
