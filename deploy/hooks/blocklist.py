"""A blocklist: callers that may not call, and numbers that no user here may call."""

# Beginnings of numbers that external callers have, and networks that they call from.
BLOCKED_CALLERS = ("+4990012", "anonymous")
BLOCKED_NETWORKS = ("203.0.113.",)
# Beginnings of expensive numbers.
BLOCKED_NUMBERS = ("0900", "0137", "00881")


def route(call):
    if call.caller:
        if call.to.startswith(BLOCKED_NUMBERS):
            call.refuse(403, "this number may not be called")
    elif call.from_user.startswith(BLOCKED_CALLERS) or call.address.startswith(BLOCKED_NETWORKS):
        call.refuse(603, "this caller is blocked")
