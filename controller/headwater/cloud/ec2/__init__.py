"""Amazon EC2, and what speaks its language, over libcloud's driver."""
