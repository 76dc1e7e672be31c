"""The error of settings that cannot be used."""


class SettingsError(Exception):
    """The settings are wrong or incomplete. The text is one line that says what to do; commands exit with 2."""
