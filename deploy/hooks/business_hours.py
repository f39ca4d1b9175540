"""Business hours: outside them, calls to the office number ring at the answering machine."""

from datetime import time

OFFICE = "100"
MACHINE = "199"
OPENS, CLOSES = time(8, 30), time(17, 0)
# (month, day)
HOLIDAYS = {(1, 1), (5, 1), (12, 25), (12, 26)}


def route(call):
    if call.to == OFFICE and not is_open(call.at):
        call.forward_to(MACHINE)


def is_open(at):
    is_weekday = at.weekday() < 5
    is_holiday = (at.month, at.day) in HOLIDAYS
    return is_weekday and not is_holiday and OPENS <= at.time() < CLOSES
