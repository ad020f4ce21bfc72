"""Amazon's OpenSearch Service in front of a node: signatures, credentials that end, its refusals, and ISM."""
