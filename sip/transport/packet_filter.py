"""A packet filter on a UDP socket: the kernel drops a part of the datagrams of a source (Linux).

A classic BPF program on a socket needs no privilege.  It sees each datagram from its UDP header on
and, at SKF_NET_OFF, from its IP header on; it returns how many octets of the datagram to keep.

The program compares the source address with each rule in turn; a datagram that fits no rule is
kept.  One that fits is kept if its source port is exempt, or if a random number is below the
rule's keep ratio.  A program has at most 4096 instructions.
"""

import ctypes
import socket
import struct
from collections.abc import Sequence
from typing import NamedTuple

# From asm-generic/socket.h; the socket module has no names for them.
_SO_ATTACH_FILTER = 26
_SO_DETACH_FILTER = 27
# From linux/bpf_common.h and filter.h: the codes of the instructions.
_LD_ABS_WORD = 0x20  # A = word of the datagram at k           BPF_LD | BPF_W | BPF_ABS
_LD_ABS_HALF = 0x28  # A = half a word of it                   BPF_LD | BPF_H | BPF_ABS
_LD_MEM = 0x60  # A = M[k]                                     BPF_LD | BPF_MEM
_ST = 0x02  # M[k] = A                                         BPF_ST
_LDX_IMM = 0x01  # X = k                                       BPF_LDX | BPF_IMM
_JA = 0x05  # skip k                                           BPF_JMP | BPF_JA
_JEQ = 0x15  # skip jt if A == k, else jf                      BPF_JMP | BPF_JEQ | BPF_K
_JGE_X = 0x3D  # skip jt if A >= X, else jf                    BPF_JMP | BPF_JGE | BPF_X
_RET = 0x06  # keep k octets                                   BPF_RET | BPF_K
_SKF_AD_OFF = -0x1000
_SKF_NET_OFF = -0x100000
_SKF_AD_RANDOM = _SKF_AD_OFF + 56
# struct sock_filter and struct sock_fprog.
_INSTRUCTION = struct.Struct("@HBBI")
_PROGRAM = struct.Struct("@HP")
_MAX_INSTRUCTIONS = 4096  # BPF_MAXINSNS

_ALL, _NOTHING = 0xFFFF_FFFF, 0
_SOURCE_PORT = 0  # in linux/udp.h
# Offsets of the compared words of a source address, in linux/ip.h and ipv6.h; of IPv6 only those of
# its /64.
_SOURCE_IPV4 = (12,)
_SOURCE_IPV6 = (8, 12)

_Instruction = tuple[int, int, int, int]  # code, jt, jf, k


class SampleRule(NamedTuple):
    """Keep a random `keep_ratio` (0 to 1) of the datagrams from `source`, an IPv4 address or a /64.

    Datagrams from one of `exempt_ports` are always kept.
    """

    source: str
    keep_ratio: float
    exempt_ports: tuple[int, ...] = ()


def program(rules: Sequence[SampleRule], family: int) -> list[_Instruction]:
    """Return the program for the `rules` of one address family; empty if there are none."""
    is_ipv6 = family == socket.AF_INET6
    offsets = _SOURCE_IPV6 if is_ipv6 else _SOURCE_IPV4
    own = [rule for rule in rules if (":" in rule.source) == is_ipv6]
    if not own:
        return []
    # Written from its end, because a jump needs the distance to its target.
    sample = [
        (_LD_ABS_WORD, 0, 0, _SKF_AD_RANDOM),
        (_JGE_X, 1, 0, 0),
        (_RET, 0, 0, _ALL),
        (_RET, 0, 0, _NOTHING),
    ]
    rest = [(_RET, 0, 0, _ALL)]
    for rule in reversed(own):
        rest = _block(rule, family, len(offsets), len(rest)) + rest
    head = []
    for number, offset in enumerate(offsets):
        head += [(_LD_ABS_WORD, 0, 0, _SKF_NET_OFF + offset), (_ST, 0, 0, number)]
    return head + rest + sample


def _block(rule: SampleRule, family: int, words: int, to_sample: int) -> list[_Instruction]:
    """Return the instructions of one rule: if the source fits, jump to the sampling.

    The sampling begins `to_sample` instructions after this block.
    """
    block: list[_Instruction] = []
    if rule.exempt_ports:
        block.append((_LD_ABS_HALF, 0, 0, _SOURCE_PORT))
        for port in rule.exempt_ports:
            block += [(_JEQ, 0, 1, port), (_RET, 0, 0, _ALL)]
    threshold = min(round(rule.keep_ratio * 2**32), _ALL)
    block += [(_LDX_IMM, 0, 0, threshold), (_JA, 0, 0, to_sample)]
    address = socket.inet_pton(family, rule.source.partition("/")[0])
    for number in reversed(range(words)):
        (word,) = struct.unpack_from("!I", address, 4 * number)
        block = [(_LD_MEM, 0, 0, number), (_JEQ, 0, len(block), word), *block]
    return block


def attach(sock: socket.socket, rules: Sequence[SampleRule]) -> bool:
    """Replace the packet filter of a UDP socket; without rules for its family, remove it.

    False: the kernel refused the program, and all datagrams arrive.
    """
    instructions = program(rules, sock.family)
    if not instructions or len(instructions) > _MAX_INSTRUCTIONS:
        _detach(sock)
        return not instructions
    code = b"".join(
        _INSTRUCTION.pack(code, jt, jf, k & 0xFFFF_FFFF) for code, jt, jf, k in instructions
    )
    buffer = ctypes.create_string_buffer(code, len(code))
    packed = _PROGRAM.pack(len(instructions), ctypes.addressof(buffer))
    # Both this program and the previous one count towards net.core.optmem_max of the socket; older
    # kernels grant 20 kB, enough for 256 sources of IPv4 twice, but of IPv6 only once.
    for _ in range(2):
        try:
            sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, packed)
        except OSError:  # no memory for the program, or another operating system
            _detach(sock)
        else:
            return True
    return False


def _detach(sock: socket.socket) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
    except OSError:  # no filter is attached
        return
