"""The application: how it is loaded, called, told and heard, by the ASGI specification."""
