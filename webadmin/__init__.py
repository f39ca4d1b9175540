"""The pages and interfaces for people who run the server."""
