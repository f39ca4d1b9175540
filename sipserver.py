"""The server's command line.  `python sipserver.py` runs the registrar, the proxy and the admin."""

from gevent import monkey

monkey.patch_all()

import sys

from sip.cli.main import main
from sip.config import Config
from sip.memory import long_lived_objects


def run(config: Config) -> int:
    """Run the server until SIGTERM or SIGINT, and return the exit code."""
    # Imported here, for it takes half a second and `-help` needs none of it.
    with long_lived_objects():
        from webadmin import service

    return service.run(config)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], run))
