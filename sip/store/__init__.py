"""What is kept on disk: accounts, registrations, and what the server must remember."""
