"""The HTTP server of the pages: gevent's WSGI server with bounds, TLS and compression."""
