"""Fakes, phones and drivers that tests share; tests/README.md lists them."""
