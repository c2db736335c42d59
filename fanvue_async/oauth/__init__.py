"""Sign-in of creators, and access tokens that renew themselves in every process of a program."""

from fanvue_async.oauth.app import OAuthApp
from fanvue_async.oauth.sign_in import SignIn
from fanvue_async.oauth.token import AccountToken

__all__ = ["AccountToken", "OAuthApp", "SignIn"]
