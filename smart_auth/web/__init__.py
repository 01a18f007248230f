"""What the server answers over HTTP: Flask lives here and nowhere else in `smart_auth`."""
