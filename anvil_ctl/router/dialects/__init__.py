"""OpenAI's and Anthropic's wire formats: parse, translate, render. Pure: bytes in, bytes out."""
