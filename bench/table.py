import json


def of(x):
    return json.dumps(x["sections"], indent=None)
