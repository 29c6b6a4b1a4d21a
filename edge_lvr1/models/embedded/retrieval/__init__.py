"""The embedded agent: answers from captions by retrieval, without a language model."""
