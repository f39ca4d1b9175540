"""Traces of real calls: the ladder has each message, and tshark reads as many from the pcap file."""

import json
import re
from collections.abc import Callable

import pytest

from tests.support.admin import Admin
from tests.support.baresip import Baresip
from tests.support.phone_calls import part, talk
from tests.support.pjsua import Pjsua
from tests.support.programs import until
from tests.support.server import CALLEES, CALLERS
from tests.support.sipp_calls import *  # noqa: F403
from tests.support.tshark import has_no_trouble, read_fields, sip_messages
