"""The command line: the settings as flags, and the commands for users, bans and the admin."""
