"""The database: accounts, bindings, bans, audit, web sessions."""
