"""The GRUUs of registered phones: made for responses to REGISTER, and found again (RFC 5627 §5)."""

import os
from collections.abc import Callable, Sequence

from sip.core.gruu import (
    NONCE_BYTES,
    TemporaryGruus,
    is_gruu,
    may_have_gruu,
    public_gruu,
)
from sip.core.registrar.bindings import Binding
from sip.core.registrar.generations import Generations
from sip.message.grammar import quote
from sip.message.uri import SipUri


class Gruus:
    """Makes and reads the GRUUs of this server, which `secret`, of 16 octets or more, signs."""

    def __init__(self, secret: bytes, generations: Generations, clock: Callable[[], float]) -> None:
        self._temporary = TemporaryGruus(secret)
        self._generations = generations
        self._clock = clock

    def params(self, to: SipUri, aor: str, bindings: Sequence[Binding]) -> dict[str, str]:
        """Return the parameters with the GRUUs of the phones in a response, by instance id (§5.2).

        `to` is the address of the user as the phone writes it.  A phone that has never asked for
        GRUUs has none.
        """
        found: dict[str, str] = {}
        for binding in bindings:
            instance = binding.instance
            if not may_have_gruu(instance) or instance in found:
                continue
            if generation := self._generations.of(aor, instance):
                temporary = self._temporary.make(to, generation, os.urandom(NONCE_BYTES))
                public = quote(public_gruu(to, instance))
                found[instance] = f";pub-gruu={public};temp-gruu={quote(temporary)}"
        return found

    def phone_of(self, uri: SipUri) -> tuple[str, str] | None:
        """Return the address-of-record and the instance id, in lower case, of a temporary GRUU.

        Return None if this server has not made it, or if it has ended.
        """
        generation = self._temporary.generation_of(uri) if is_gruu(uri) else 0
        return self._generations.phone_of(generation, self._clock()) if generation else None
