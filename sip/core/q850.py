"""Cause values of ITU-T Q.850, as telephone networks use them in Reason (RFC 3398, RFC 6432)."""

from typing import Final

# The cause value of ITU-T Q.850 for a status, by RFC 3398 §8.2.6.1.  487 and 488 have none there.
Q850_OF_STATUS: Final = (
    dict.fromkeys((404, 485, 604), 1)  # unallocated number
    | dict.fromkeys((486, 600), 17)  # user busy
    | {480: 18}  # no user responding
    | dict.fromkeys((402, 403, 603), 21)  # call rejected
    | {410: 22}  # number changed
    | dict.fromkeys((482, 483), 25)  # exchange routing error
    | {484: 28}  # invalid number format
    | {502: 38}  # network out of order
    | dict.fromkeys((400, 481, 500, 503), 41)  # temporary failure
    | {405: 63}  # service or option unavailable
    | dict.fromkeys((406, 415, 501), 79)  # service or option not implemented
    | dict.fromkeys((408, 504), 102)  # recovery on timer expiry
    | dict.fromkeys((413, 414, 416, 420, 421, 423, 505, 513), 127)  # interworking
)
