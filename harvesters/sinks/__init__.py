"""Where documents go: an SQS queue, a file, standard output, Elasticsearch; and the dead letters."""
