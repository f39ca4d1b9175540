"""The database: accounts, bindings, bans, audit and web sessions."""
