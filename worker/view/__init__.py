"""A snapshot compiled for lookup: dictionaries, TLS contexts and bound metric handles."""
