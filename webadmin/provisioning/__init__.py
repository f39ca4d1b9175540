"""Settings that phones fetch: by a link of one use, or by the MAC address of a desk phone."""
