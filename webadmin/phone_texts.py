"""The texts of the phone in the browser, which its script shows; `{…}` is formatted there."""

from webadmin.language import _


def phone_texts() -> dict[str, str]:
    """Return the texts by their names in views/static/phone.js."""
    return {
        "connecting": _("Connecting …"),
        "registered": _("Registered"),
        "offline": _("Not connected: the phone tries again by itself."),
        "refused": _("The registration was refused: {cause}"),
        "ended": _("The session has ended: reload this page and sign in again."),
        "insecure": _("The browser allows the microphone only with https://, or on localhost."),
        "noMicrophone": _("No microphone was found: connect one, then try again."),
        "denied": _("The browser may not use the microphone: allow it for this page."),
        "unsupported": _("This browser cannot make calls (it has no WebRTC)."),
        "calling": _("Calling {name} …"),
        "ringing": _("Ringing"),
        "isCalling": _("{name} is calling"),
        "talking": _("Talking {time}"),
        "onHold": _("On hold"),
        "heldByPeer": _("{name} has put the call on hold"),
        "transferring": _("Transferring to {name} …"),
        "transferred": _("Transferred"),
        "notTransferred": _("The transfer failed: {cause}"),
        "callEnded": _("Call ended"),
        "declined": _("Declined"),
        "busy": _("Busy"),
        "missed": _("Missed call"),
        "cancelled": _("Cancelled"),
        "noAnswer": _("No answer"),
        "notFound": _("This number or name is unknown"),
        "unavailable": _("Not reachable at the moment"),
        "answeredElsewhere": _("Answered by another phone"),
        "badTarget": _("This is neither a number nor a name"),
        "refers": _("{name} transfers you to {target}"),
        "noCommonMedia": _("The other phone cannot talk to a browser"),
        "failed": _("The call failed: {cause}"),
        "connectionLost": _("the connection to the server was lost"),
        "hold": _("Hold"),
        "resume": _("Resume"),
        "outgoing": _("to"),
        "incoming": _("from"),
        "defaultDevice": _("Default of the system"),
        "microphone": _("Microphone {number}"),
        "speaker": _("Speaker {number}"),
        "callAgain": _("Call {name} again"),
    }
