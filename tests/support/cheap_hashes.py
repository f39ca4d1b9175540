"""Hashes of administrators' passwords at the lowest cost, for all tests but those of the cost."""

from argon2 import PasswordHasher

from sip.store import admin_passwords

REAL = admin_passwords._hasher
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
