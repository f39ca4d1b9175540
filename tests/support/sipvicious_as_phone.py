"""A tool of SIPVicious, with the User-Agent of a phone.

python sipvicious_as_phone.py svcrack ARGUMENTS
"""

import importlib
import sys
from functools import partial

tool = importlib.import_module(f"sipvicious.{sys.argv[1]}")
tool.makeRequest = partial(tool.makeRequest, useragent="Desk Phone/1.0")
del sys.argv[0]
tool.main()
