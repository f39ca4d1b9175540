"""The tone in G.711."""

import pytest

from sip.robot.tone import to_pcma, to_pcmu, tone
from tests.support.cases import cases

# Samples and octets of the tables of ITU-T G.711, scaled to 16 bits.
PCMU = [(0, 0xFF), (-1, 0x7F), (1000, 0xCE), (-1000, 0x4E), (32767, 0x80), (-32768, 0x00)]
PCMA = [(0, 0xD5), (-1, 0x55), (1000, 0xFA), (-1000, 0x7A), (32767, 0xAA), (-32768, 0x2A)]


@cases(("sample", "octet"), PCMU)
def test_a_sample_in_pcmu(sample: int, octet: int):
    assert to_pcmu(sample) == octet


@cases(("sample", "octet"), PCMA)
def test_a_sample_in_pcma(sample: int, octet: int):
    assert to_pcma(sample) == octet


@pytest.mark.parametrize("encode", [to_pcmu, to_pcma])
def test_louder_samples_have_other_octets_in_order(encode):
    """Each law is monotonous: its 256 octets are used, each for one range of samples."""
    octets = [encode(sample) for sample in range(-32768, 32768)]
    changes = [octet for at, octet in enumerate(octets) if at == 0 or octets[at - 1] != octet]
    assert len(changes) == len(set(changes)) == 256


@pytest.mark.parametrize("encoding", ["PCMU", "PCMA"])
def test_the_tone_is_two_seconds_of_whole_packets(encoding: str):
    packets = tone(encoding)
    assert len(packets) == 100
    assert {len(packet) for packet in packets} == {160}
    assert len(set(packets)) > 4
