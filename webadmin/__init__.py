"""The web admin: the pages for administrators."""
