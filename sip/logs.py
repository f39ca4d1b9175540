"""Logging: lines on stderr, as text or as JSON objects."""

import json
import logging

from sip.config import Config
from sip.times import rfc3339

# Fields of a JSON line that a log call may give by `extra`: texts, left out where there are none.
FIELDS = ("call_id", "user", "address", "cause")


def configure_logging(config: Config) -> None:
    """Write log lines to stderr, in the format and from the level of the settings."""
    handler = logging.StreamHandler()
    text = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(JsonFormatter() if config.log_format == "json" else text)
    logging.basicConfig(level=config.log_level.upper(), handlers=[handler], force=True)


class JsonFormatter(logging.Formatter):
    """Formats each log line as one JSON object, for log collectors.

    Its fields are `at` (ISO 8601, UTC), `level`, `logger` and `message`, and where the line has
    them `call_id`, `user`, `address` (of the peer, without its port), `cause` (its key in
    docs/causes.md) and `trace`.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Format one record."""
        line = {
            "at": rfc3339(record.created, milliseconds=True),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for field in FIELDS:
            if value := getattr(record, field, ""):
                line[field] = str(value)
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
