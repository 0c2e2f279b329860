"""Storage in S3, Azure and Google Cloud Storage."""
