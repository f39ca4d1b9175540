"""Logging: lines on stderr, as text or as JSON objects."""

import json
import logging

from sip.config import Config


def configure_logging(config: Config) -> None:
    """Write log lines to stderr, in the format and from the level of the settings."""
    handler = logging.StreamHandler()
    text = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(JsonFormatter() if config.log_format == "json" else text)
    logging.basicConfig(level=config.log_level.upper(), handlers=[handler], force=True)


class JsonFormatter(logging.Formatter):
    """Formats each log line as one JSON object, for log collectors."""

    def format(self, record: logging.LogRecord) -> str:
        """Format one record."""
        line = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "source": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
