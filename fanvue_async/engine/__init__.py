"""The engine: everything between a bound operation and its typed value or typed error.

Read it in the order of a call: ``operation`` (what an endpoint is; bound to values, a request),
``session`` (a credential and its options on a pool), ``call`` (one deadline over all attempts, and
what they mean), ``attempt`` (a token, the rate limit, a connection), ``exchange`` (exactly one HTTP
exchange), ``answers`` (what a response means), ``recovery`` and ``retry`` (whether to repeat).
"""
