"""The only reader of the environment: every PAYMENTS_ setting, checked before anything starts.

What belongs here: names, defaults, units, bounds, and how they fit together. What never will: connections, or a
default that only a test needs.
"""

from deploy.settings.errors import SettingsError
from deploy.settings.load import load_settings
from deploy.settings.model import Settings
from deploy.settings.names import SECRET_NAMES, setting_name
from deploy.settings.places import split_address

__all__ = ["SECRET_NAMES", "Settings", "SettingsError", "load_settings", "setting_name", "split_address"]
