"""Asks /v1/embeddings with the official OpenAI SDK. Usage: vectors.py BASE_URL KEY MODEL"""

import sys

from openai import OpenAI

base_url, key, model = sys.argv[1:]
client = OpenAI(base_url=base_url, api_key=key, max_retries=0)
# Unasked the SDK wants Base64, and makes lists of it itself.
for asked in {}, {"encoding_format": "float"}:
    answer = client.embeddings.create(model=model, input=["red", "blue"], **asked)
    vectors = [list(row.embedding) for row in answer.data]
    assert vectors == [[0.5, -2.0, 0.25], [1.0, 0.0, 0.0]], answer
    assert answer._request_id == answer.rekursing["jobId"], answer
