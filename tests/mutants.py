"""Variations of bytes, for whatever reads what strangers send."""

import random

_TAGS_AND_LENGTHS = (0x30, 0x80, 0x1F, 0x24, 0x00, 0xA0)


def mutated(original: bytes, draw: random.Random) -> bytes:
    """Return `original` with one to six places changed, the same for the same state of `draw`."""
    changed = bytearray(original)
    for _ in range(draw.randint(1, 6)):
        at = draw.randrange(max(len(changed), 1))
        match draw.randrange(5):
            case 0 if changed:
                changed[at] ^= 1 << draw.randrange(8)
            case 1:
                del changed[at : at + draw.randint(1, 20)]
            case 2:
                changed[at:at] = draw.randbytes(draw.randint(1, 20))
            case 3:
                changed[at : at + 1] = b"\x84\xff\xff\xff\xff"
            case _:
                changed[at : at + 1] = bytes([draw.choice(_TAGS_AND_LENGTHS)])
    return bytes(changed)
