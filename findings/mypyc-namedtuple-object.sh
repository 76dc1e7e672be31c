#!/usr/bin/env bash
# 2026-12-01. mypyc of mypy 2.4.1: a compiled module cannot be imported if a NamedTuple in it has a field of type `object`.
#
# Expected: what mypy's strict mode accepts and mypyc compiles without a word behaves as the same module not compiled.
# Seen: KeyError: 'object' while the module is imported. The same class with `int`, or with `typing.Any`, is imported.
# Nothing is said when it is compiled: only an import tells, so whoever compiles must also import.
# Fails when the compiled module is imported, or when the one with `int` is not.
# Needs python3.11 or newer with its headers, and a C compiler.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check mypy==2.4.1 setuptools==80.9.0
cd "$work"
for kind in object int; do
    cat > "of_$kind.py" <<PY
from typing import NamedTuple


class Column(NamedTuple):
    name: str
    null: $kind = 0
PY
    "$work/venv/bin/mypyc" --strict "of_$kind.py" > "$kind.log" 2>&1 || { cat "$kind.log"; exit 1; }
done
mkdir plain
mv of_object.py of_int.py plain/
say() { { "$work/venv/bin/python" -c "import $1; print('imported:', $1.Column('a'))" 2>&1 || true; } | tail -1; }
compiled_object=$(say of_object)
compiled_int=$(say of_int)
plain_object=$(cd plain && say of_object)
printf 'mypyc of mypy 2.4.1: compiled, a field of type object: %s\n' "$compiled_object"
printf '  compiled, of type int: %s\n  not compiled, of type object: %s\n' "$compiled_int" "$plain_object"
[ "$compiled_object" = "KeyError: 'object'" ]
[ "$compiled_int" = "imported: Column(name='a', null=0)" ]
[ "$plain_object" = "imported: Column(name='a', null=0)" ]
