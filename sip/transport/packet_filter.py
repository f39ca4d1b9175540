"""Has the kernel drop a part of what some sources send, before anybody reads it (Linux).

A classic BPF program on a socket needs no privilege.  It sees each datagram from its UDP header on
and, at SKF_NET_OFF, from its IP header on; what it returns is how many octets are kept.
"""

import ctypes
import socket
import struct
from collections.abc import Sequence
from typing import NamedTuple

# From asm-generic/socket.h; the socket module has no names for them.
_SO_ATTACH_FILTER = 26
_SO_DETACH_FILTER = 27
# From linux/bpf_common.h and filter.h: what an instruction does, by its code.
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
# Where the words of a source address are that are compared, in linux/ip.h and ipv6.h: of IPv6 those
# of its /64.
_SOURCE_IPV4 = (12,)
_SOURCE_IPV6 = (8, 12)

_Instruction = tuple[int, int, int, int]  # code, jt, jf, k


class Thinned(NamedTuple):
    """A source, an IPv4 address or a /64, of which only a part is let through: 0 is none, 1 is all.

    All is let through from `ports`.
    """

    source: str
    part: float
    ports: tuple[int, ...] = ()


def program(sources: Sequence[Thinned], family: int) -> list[_Instruction]:
    """Write the program that thins those of `sources` that are of a family; empty if none is."""
    is_ipv6 = family == socket.AF_INET6
    offsets = _SOURCE_IPV6 if is_ipv6 else _SOURCE_IPV4
    own = [each for each in sources if (":" in each.source) == is_ipv6]
    if not own:
        return []
    # From its end, for a jump has to know how far its target is.
    thin = [
        (_LD_ABS_WORD, 0, 0, _SKF_AD_RANDOM),
        (_JGE_X, 1, 0, 0),
        (_RET, 0, 0, _ALL),
        (_RET, 0, 0, _NOTHING),
    ]
    rest = [(_RET, 0, 0, _ALL)]
    for each in reversed(own):
        rest = _block(each, family, len(offsets), len(rest)) + rest
    head = []
    for number, offset in enumerate(offsets):
        head += [(_LD_ABS_WORD, 0, 0, _SKF_NET_OFF + offset), (_ST, 0, 0, number)]
    return head + rest + thin


def _block(thinned: Thinned, family: int, words: int, to_thin: int) -> list[_Instruction]:
    """Go on to the thinning, `to_thin` instructions behind this block, if the source is this."""
    block: list[_Instruction] = []
    if thinned.ports:
        block.append((_LD_ABS_HALF, 0, 0, _SOURCE_PORT))
        for port in thinned.ports:
            block += [(_JEQ, 0, 1, port), (_RET, 0, 0, _ALL)]
    block += [(_LDX_IMM, 0, 0, min(round(thinned.part * 2**32), _ALL)), (_JA, 0, 0, to_thin)]
    address = socket.inet_pton(family, thinned.source.partition("/")[0])
    for number in reversed(range(words)):
        (word,) = struct.unpack_from("!I", address, 4 * number)
        block = [(_LD_MEM, 0, 0, number), (_JEQ, 0, len(block), word), *block]
    return block


def thin(sock: socket.socket, sources: Sequence[Thinned]) -> bool:
    """Have the kernel thin what a UDP socket gets from these sources, and from no others.

    False: the kernel wouldn't, and everything comes in.
    """
    instructions = program(sources, sock.family)
    if not instructions or len(instructions) > _MAX_INSTRUCTIONS:
        _detach(sock)
        return not instructions
    code = b"".join(
        _INSTRUCTION.pack(code, jt, jf, k & 0xFFFF_FFFF) for code, jt, jf, k in instructions
    )
    buffer = ctypes.create_string_buffer(code, len(code))
    packed = _PROGRAM.pack(len(instructions), ctypes.addressof(buffer))
    # Both this program and the one before it take of a socket's net.core.optmem_max; older kernels
    # grant 20 kB, which is 256 sources of IPv4 twice, but of IPv6 once.
    for _ in range(2):
        try:
            sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, packed)
        except OSError:  # no room for it, or another system
            _detach(sock)
        else:
            return True
    return False


def _detach(sock: socket.socket) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
    except OSError:  # there is none
        return
