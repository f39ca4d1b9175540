"""The JSON of each thing: the same in the commands, in webhooks and in the API."""
