"""The HTTP API under /api/v1: operations, their shapes, and the document that describes them."""
