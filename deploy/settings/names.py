"""Names of settings: our prefix, and names of other programs."""

import difflib
import re
from collections.abc import Iterable
from typing import Final

from deploy.settings.errors import SettingsError

PREFIX = "PAYMENTS_"

# Tests read these themselves.
FOREIGN_PREFIX: Final = "PAYMENTS_TEST_"
# Kubernetes injects these into pods for each Service whose name begins with "payments".
_OF_A_SERVICE: Final = re.compile(
    r"PAYMENTS_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
# This one too, always with a URL. So a setting that somebody invents (PAYMENTS_WEBHOOKS_PORT=80) is still refused.
_ADDRESS_OF_A_SERVICE: Final = re.compile(r"PAYMENTS_([A-Z0-9_]+_)?PORT")
_URL: Final = re.compile(r"(tcp|udp|sctp)://")

SECRET_NAMES = frozenset(
    {
        "PAYMENTS_DATABASE_URL",
        "PAYMENTS_DATABASE_DIRECT_URL",
        "PAYMENTS_KAFKA_SASL_PASSWORD",
        "PAYMENTS_KAFKA_SSL_KEY_PASSWORD",
        "PAYMENTS_KAFKA_OAUTH_CLIENT_SECRET",
        "PAYMENTS_SCHEMA_REGISTRY_LOGIN",
        "PAYMENTS_STRIPE_API_KEY",
        "PAYMENTS_STRIPE_WEBHOOK_SECRET",
        "PAYMENTS_INVENTORY_TOKEN",
        "PAYMENTS_SMTP_URL",
        "PAYMENTS_NOTIFIER_WEBHOOK_SECRET",
    }
)
FILE_SUFFIX = "_FILE"


def setting_name(field: str) -> str:
    """Return the environment variable of a field of Settings."""
    return PREFIX + field.upper()


def is_foreign(name: str, value: str) -> bool:
    """Whether a name with our prefix belongs to another program, or to Kubernetes; then it is no setting."""
    if name.startswith(FOREIGN_PREFIX) or _OF_A_SERVICE.fullmatch(name):
        return True
    return bool(_ADDRESS_OF_A_SERVICE.fullmatch(name) and _URL.match(value))


def refuse_unknown(names: Iterable[str], fields: Iterable[str]) -> None:
    """Refuse every PAYMENTS_ name that is no setting, and suggest the nearest one. names: without foreign ones.

    Raises SettingsError naming all of them in one line.
    """
    known = {setting_name(field) for field in fields}
    known |= {name + FILE_SUFFIX for name in SECRET_NAMES}
    problems = []
    for name in sorted(set(names)):
        if name in known or not name.startswith(PREFIX):
            continue
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
        hint = f"did you mean {near[0]}?" if near else "see deploy/README.md for the names there are"
        problems.append(f"{name} is not a setting; {hint}")
    if problems:
        raise SettingsError("; ".join(problems))
