"""Names of settings: our prefix, and names of other programs."""

import difflib
from collections.abc import Iterable

from deploy.settings.errors import SettingsError

PREFIX = "PAYMENTS_"

# Tests read the first themselves; Kubernetes injects the others for a Service named "payments".
FOREIGN_PREFIXES = ("PAYMENTS_TEST_", "PAYMENTS_SERVICE_", "PAYMENTS_PORT")

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


def refuse_unknown(names: Iterable[str], fields: Iterable[str]) -> None:
    """Refuse every PAYMENTS_ name that is no setting, and suggest the nearest one.

    Raises SettingsError naming all of them in one line.
    """
    known = {setting_name(field) for field in fields}
    known |= {name + FILE_SUFFIX for name in SECRET_NAMES}
    problems = []
    for name in sorted(set(names)):
        if name in known or not name.startswith(PREFIX) or name.startswith(FOREIGN_PREFIXES):
            continue
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
        hint = f"did you mean {near[0]}?" if near else "see deploy/README.md for the names there are"
        problems.append(f"{name} is not a setting; {hint}")
    if problems:
        raise SettingsError("; ".join(problems))
