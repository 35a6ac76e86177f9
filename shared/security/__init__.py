"""Who may take part: keys, the allow-list, the authenticator, files that hold secrets."""
