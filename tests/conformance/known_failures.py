"""Cases of the ONNX backend suite that Sardonyx does not pass, each with its reason. A case that
starts passing fails the run until it leaves this list."""

KNOWN_FAILURES: dict[str, str] = {}
