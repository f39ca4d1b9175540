"""The control socket: commands of the operator to the running server."""
