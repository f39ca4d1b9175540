"""Hooks: one Python file of the operator, which decides about calls and hears of events."""
