"""Where secrets come from, and how they are kept: files of this host, age, Fernet."""
