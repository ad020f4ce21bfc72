"""What is Amazon's: boto3 clients and what their errors mean (`client`), and SQS queues (`sqs`)."""
