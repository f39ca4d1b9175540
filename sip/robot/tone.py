"""The tone of the robot in G.711 (ITU-T G.711; RFC 3551 §4.5.14)."""

import math
from functools import cache
from itertools import chain

from sip.robot.rtp import OCTETS_PER_PACKET, SAMPLES_PER_SECOND

# The tone: one second each of the two usual test frequencies, in Hz, over and over.
_FREQUENCIES = (440.0, 1000.0)
# Of 32,767: well below full scale, as a telephone's ringing tone.
_AMPLITUDE = 8000.0
# Samples in which each part grows and fades, so that it makes no click: 10 ms.
_FADE = 80
_BIAS, _CLIP = 0x84, 32_635  # of the µ-law


def to_pcmu(sample: int) -> int:
    """Return the octet of the µ-law for a sample of 16 bits."""
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), _CLIP) + _BIAS
    exponent = magnitude.bit_length() - 8
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    return ~(sign | exponent << 4 | mantissa) & 0xFF


def to_pcma(sample: int) -> int:
    """Return the octet of the A-law for a sample of 16 bits."""
    sign = 0x80 if sample >= 0 else 0
    magnitude = (sample if sample >= 0 else ~sample) >> 3
    exponent = max(magnitude.bit_length() - 5, 0)
    mantissa = magnitude >> max(exponent, 1) & 0x0F
    return (sign | exponent << 4 | mantissa) ^ 0x55


_ENCODERS = {"PCMU": to_pcmu, "PCMA": to_pcma}


@cache
def tone(encoding: str) -> tuple[bytes, ...]:
    """Return the packets of two seconds of the tone, to be repeated; 16 kB, computed once."""
    encode = _ENCODERS[encoding]
    samples = chain.from_iterable(map(_second_of, _FREQUENCIES))
    octets = bytes(map(encode, samples))
    starts = range(0, len(octets), OCTETS_PER_PACKET)
    return tuple(octets[start : start + OCTETS_PER_PACKET] for start in starts)


def _second_of(frequency: float) -> list[int]:
    step = 2 * math.pi * frequency / SAMPLES_PER_SECOND
    last = SAMPLES_PER_SECOND - 1
    return [
        round(_AMPLITUDE * min(1.0, at / _FADE, (last - at) / _FADE) * math.sin(step * at))
        for at in range(SAMPLES_PER_SECOND)
    ]
