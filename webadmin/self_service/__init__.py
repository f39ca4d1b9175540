"""The page /me, on which users look after their own phones and password."""
