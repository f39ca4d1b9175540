"""Traces of real calls: the ladder has each message, and tshark reads as many from the pcap file."""

from tests.support.sipp_calls import *  # noqa: F403
