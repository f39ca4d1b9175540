"""Fakes, phones and drivers that the tests share; tests/README.md lists them."""
