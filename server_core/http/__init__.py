"""HTTP: parsers and writer first, the one class that knows ASGI http last."""
