"""Hooks: one Python file of the operator, which decides about calls and gets events."""
