"""Phone numbers in E.164. Pure."""

import re

NOT_E164 = "the number is not in E.164, such as +31612345678"
"""Why a gateway is not asked to carry a message to such a number."""

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


def is_e164(number: str) -> bool:
    """Tell whether `number` is in the international form: +, country code and subscriber, at most 15 digits."""
    return _E164.fullmatch(number) is not None
