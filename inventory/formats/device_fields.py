"""How what names a device is written. Pure: models, parsers and addresses all read it here."""

import re

# The serial stands in distinguished names, Basic credentials and file names.
_SERIAL = "[A-Za-z0-9][A-Za-z0-9._-]"
LONGEST_SERIAL = 64
# MQTT 3.1.1, 4.7: wildcards and level separators would let one device read another's topic.
_MQTT_ID = "[A-Za-z0-9._:-]"
LONGEST_MQTT_ID = 128
# E.164.
_PHONE_NUMBER = r"\+[1-9][0-9]"
SHORTEST_PHONE_NUMBER, LONGEST_PHONE_NUMBER = 8, 16

# For constraints. Columns bound the lengths: counted repetition costs PostgreSQL up to fifteen times as much, and these
# are checked whenever a device is seen.
PLAIN_SERIAL = f"^{_SERIAL}*$"
PLAIN_MQTT_ID = f"^{_MQTT_ID}*$"
PLAIN_PHONE_NUMBER = f"^{_PHONE_NUMBER}*$"

SERIAL = re.compile(f"{_SERIAL}{{0,{LONGEST_SERIAL - 1}}}")
MQTT_ID = re.compile(f"{_MQTT_ID}{{1,{LONGEST_MQTT_ID}}}")
PHONE_NUMBER = re.compile(f"{_PHONE_NUMBER}{{{SHORTEST_PHONE_NUMBER - 2},{LONGEST_PHONE_NUMBER - 2}}}")
