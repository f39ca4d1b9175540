"""What happened, for people: it knows no SIP."""
