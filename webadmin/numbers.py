"""Numbers as text in the language of the page."""

from webadmin.language import pgettext


def thousands(value: int) -> str:
    """Return a whole number with separated thousands: `100,000`."""
    return f"{value:,}".replace(",", pgettext("thousands", ","))


def decimal(value: float, digits: int) -> str:
    """Return a number with that many digits after the point: `3.9`."""
    return f"{value:.{digits}f}".replace(".", pgettext("decimal point", "."))
