"""A number plan: internal numbers, and telephone numbers in the form that the gateway takes."""

COUNTRY, AREA = "49", "30"
INTERNAL = {
    "0": "reception",
    "10": "alice",
    "11": "bob",
    "112": "112",  # an emergency number stays as it is
}


def route(call):
    number = call.to
    if number in INTERNAL:
        target = INTERNAL[number]
    elif number.startswith("+" + COUNTRY):
        target = "0" + number[len(COUNTRY) + 1 :]
    elif number.startswith("+"):
        target = "00" + number[1:]
    elif call.caller and number.isdecimal() and len(number) >= 6 and number[0] != "0":
        target = "0" + AREA + number  # a number of the same town
    else:
        return
    if target != number:
        call.forward_to(target)
