"""The nouns of the API, one file each: its models and its methods."""
