"""Random schemas, rows and transactions from a seed; playing them; making a failure small."""
