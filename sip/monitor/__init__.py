"""Monitoring: events, counters and the latest refusals.  It knows nothing of SIP."""
